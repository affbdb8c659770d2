/**
 * Packs the benchmark on Dawn for an x86-64 Linux machine that has a GPU and no network: one folder with its own Node, and
 * one command, `./bench.sh`. Needs a build; includes the full-size stand-in's graphs if they are here. Its random weights
 * (260 MB) are not packed, but generated on the target machine from a seed.
 *
 *   node bench/pack.mjs [FOLDER]          (default: .cache/nearsight-bench)
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { arch, chdir, execPath, platform } from 'node:process';
import { fileURLToPath } from 'node:url';
import { lavapipeEnvironment } from '../tools/setup/lavapipe.mjs';
import { standinAvailable, standinSource } from '../tools/standin.mjs';

/** The maximum size of the folder, in bytes. */
const MAX_BYTES = 60e6;

const command = `#!/bin/sh
# Compares nearsight on this machine's GPU with a classic loop, and with itself where steps are not captured. Needs sh, tar,
# gzip and the GPU's Vulkan driver.
#   ./bench.sh             glimpse, the small model
#   ./bench.sh --full      and SmolVLM-256M at full size, with random weights (260 MB, made here)
# Other options go to bench/dawn/main.mjs, such as --sides classic. Results: glimpse.json, smolvlm.json.
set -eu
cd "$(dirname "$0")"
if [ ! -x unpacked/node ]; then
  mkdir -p unpacked
  tar -xzf payload.tar.gz -C unpacked
fi
export LD_LIBRARY_PATH="\${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$PWD/unpacked/lib"
full=no
if [ "\${1-}" = --full ]; then
  full=yes
  shift
fi
unpacked/node unpacked/bench/dawn/main.mjs --json glimpse.json "$@"
if [ $full = yes ]; then
  graphs=vision_encoder_q4,embed_tokens_q4,decoder_model_merged_q4
  [ -d smolvlm ] || unpacked/node unpacked/standin/fill.mjs smolvlm --only $graphs
  unpacked/node unpacked/bench/dawn/main.mjs --model smolvlm --json smolvlm.json "$@"
fi
`;

/** The files that main.mjs needs, from the repository's root. package.json lets the package be imported by its name. */
const files = [
  'package.json',
  'bench/ours.mjs',
  'bench/rows.mjs',
  'bench/sampling.mjs',
  'bench/scenarios.mjs',
  'bench/dawn',
  'tools/counters/patch.mjs',
  'tools/counters/timed-ort.mjs',
  'tools/ask/model.mjs',
  'tools/ask/usage.mjs',
  'dist/index.js',
  'dist/worker.js',
  'dist/chunks',
  'dist/glimpse',
  'dist/ort/ort.webgpu.min.mjs',
  'dist/ort/ort-wasm-simd-threaded.asyncify.mjs',
  'dist/ort/ort-wasm-simd-threaded.asyncify.wasm',
  'node_modules/webgpu/package.json',
  'node_modules/webgpu/index.js',
  'node_modules/webgpu/LICENSE.md',
  'node_modules/webgpu/dist/linux-x64/dawn.node',
];

/** Libraries that Node and Dawn need, and that a minimal machine may lack. */
const libraries = ['libstdc++.so.6', 'libgcc_s.so.1', 'libvulkan.so.1'];

if (platform !== 'linux' || arch !== 'x64')
  throw new Error("The pack can only be made on x86-64 Linux, because it contains this machine's Node and libraries.");
chdir(fileURLToPath(new URL('..', import.meta.url)));
const target = process.argv[2] ?? '.cache/nearsight-bench';
const stage = mkdtempSync(join(tmpdir(), 'nearsight-pack-'));
try {
  for (const file of files) copy(file, file);
  copy(execPath, 'node');
  execFileSync('strip', [join(stage, 'node')]);
  for (const name of libraries) copy(findLibrary(name), `lib/${name}`);
  if (standinAvailable) copyStandin();
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  execFileSync('tar', [
    '-C',
    stage,
    '--owner=0',
    '--group=0',
    '-I',
    'gzip -9',
    '-cf',
    join(target, 'payload.tar.gz'),
    '.',
  ]);
  writeFileSync(join(target, 'bench.sh'), command);
  chmodSync(join(target, 'bench.sh'), 0o755);
} finally {
  rmSync(stage, { recursive: true });
}
const bytes = readdirSync(target).reduce((sum, name) => sum + statSync(join(target, name)).size, 0);
console.log(`${target}: ${(bytes / 1e6).toFixed(1)} MB`);
if (bytes > MAX_BYTES) throw new Error(`The folder is over ${MAX_BYTES / 1e6} MB.`);

/**
 * @param {string} from
 * @param {string} to within the package
 */
function copy(from, to) {
  mkdirSync(join(stage, dirname(to)), { recursive: true });
  const included = (/** @type {string} */ path) => !path.endsWith('.map') && !path.includes('_q4f16');
  cpSync(from, join(stage, to), { recursive: true, dereference: true, filter: included });
}

/** The graphs without weights, and the script that fills them. */
function copyStandin() {
  for (const name of readdirSync(standinSource)) {
    if (name !== 'graphs') copy(join(standinSource, name), `standin/${name}`);
  }
  for (const name of ['vision_encoder_q4', 'embed_tokens', 'decoder_model_merged_q4']) {
    for (const end of ['onnx', 'json'])
      copy(join(standinSource, `graphs/${name}.${end}`), `standin/graphs/${name}.${end}`);
  }
}

/** @param {string} name */
function findLibrary(name) {
  const folders = [
    ...(lavapipeEnvironment()['LD_LIBRARY_PATH'] ?? '').split(':'),
    '/usr/lib/x86_64-linux-gnu',
    '/lib/x86_64-linux-gnu',
    '/usr/lib64',
  ];
  const found = folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
  if (!found) throw new Error(`${name} is not on this machine.`);
  return found;
}
