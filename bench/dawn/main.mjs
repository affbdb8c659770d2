/**
 * The benchmark without a browser: the built package in Node on Dawn, compared with a hand-written classic loop
 * (`classic.mjs`) on the same ONNX Runtime and adapter. `../scenarios.mjs` defines the measures.
 *
 *   node bench/dawn/main.mjs [--model FOLDER] [--rounds N] [--json FILE] [--dawn backend=vulkan]
 *
 * Dawn runs in this process, so both sides lack the round trips to a browser's GPU process. It needs only the built
 * package, `webgpu` and Node, so that it can be packed for another machine (`../pack.mjs`).
 */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { exit, versions } from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { specOfFolder } from '../../tools/ask/model.mjs';
import { markdown } from '../rows.mjs';
import { Scenarios } from '../scenarios.mjs';
import { timedOrt } from '../timed-ort.mjs';
import { Classic } from './classic.mjs';
import { encodePng } from './png.mjs';
import { installBrowserGlobals } from './browser-globals.mjs';

/** @typedef {import('../page/side.ts').Question} Question */
/** @typedef {import('../page/side.ts').Side} Side */

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    json: { type: 'string' },
    dawn: { type: 'string', multiple: true, default: [] },
  },
});

const load = Number(values.rounds) > 0 ? loadavg() : undefined;
installBrowserGlobals(values.dawn);
await import('../../tools/counters/patch.mjs');
const { openOurs } = await import('../ours.mjs');

const root = fileURLToPath(new URL('../../', import.meta.url));
const folder = values.model ? resolve(values.model) : join(root, 'dist/glimpse');
/** @param {string} name */
const read = (name) => JSON.parse(readFileSync(join(folder, name), 'utf8'));
const config = read('config.json');
const glimpse = config.vocab_size < 10_000;
// The end token of the text config is wrong.
const endTokens = [read('generation_config.json').eos_token_id].flat();

const { run } = globalThis.counted;

/** Both sides run in this thread, one at a time. */
const worker = {
  take: async () => run('take', 0),
  /** @param {number} ms */
  hold: async (ms) => run('hold', ms),
  /** @param {boolean} on */
  idle: async (on) => run('idle', on ? 1 : 0),
};

/** @param {number} number */
async function image(number) {
  const file = encodePng(
    640,
    480,
    (x, y, channel) => (x * (number + channel) + y * 7 + ((x >> 5) ^ (y >> 5)) * 31) & 255,
  );
  return { dataUrl: `data:image/png;base64,${file.toString('base64')}` };
}

/** A folder with ONNX Runtime's files, and the wrapper that records when each graph runs. */
function timedFolder() {
  const temporary = mkdtempSync(join(tmpdir(), 'nearsight-bench-'));
  const real = join(root, 'dist/ort');
  const name = 'ort-wasm-simd-threaded.asyncify';
  // A copy: Node gives a linked script the URL of the real one, under which the worker would not look for its module.
  copyFileSync(join(real, `${name}.mjs`), join(temporary, `${name}.mjs`));
  symlinkSync(join(real, `${name}.wasm`), join(temporary, `${name}.wasm`));
  writeFileSync(join(temporary, 'ort.webgpu.min.mjs'), timedOrt(pathToFileURL(join(real, 'ort.webgpu.min.mjs')).href));
  return temporary;
}

/** @param {string} ort the folder of our ONNX Runtime */
async function openSides(ort) {
  const spec = await specOfFolder(folder, `${pathToFileURL(folder).href}/`);
  const model = { id: glimpse ? 'glimpse' : 'SmolVLM-256M (random weights)', folder, spec, endTokens };
  const ours = await openOurs(
    { model, device: 'webgpu', dtype: 'q4' },
    image,
    () => worker,
    `${pathToFileURL(ort).href}/`,
  );
  return { model, ours, classic: await openClassic(ours.facts.hardware) };
}

/**
 * The classic loop has its own instance of ONNX Runtime, and a device with the same limits as ours.
 *
 * @param {string} hardware
 */
async function openClassic(hardware) {
  const script = pathToFileURL(join(root, 'dist/ort/ort.webgpu.min.mjs')).href;
  /** @type {typeof import('onnxruntime-web')} */
  const ort = await import(`${script}?classic`);
  ort.env.wasm.numThreads = 1;
  const files = script.replace('ort.webgpu.min.mjs', 'ort-wasm-simd-threaded.asyncify');
  ort.env.wasm.wasmPaths = { mjs: `${files}.mjs`, wasm: `${files}.wasm` };
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new Error('no adapter');
  const limits = /** @type {const} */ ([
    'maxBufferSize',
    'maxStorageBufferBindingSize',
    'maxStorageBuffersPerShaderStage',
    'maxComputeWorkgroupStorageSize',
    'maxComputeInvocationsPerWorkgroup',
    'maxComputeWorkgroupSizeX',
  ]);
  const requiredLimits = Object.fromEntries(limits.map((name) => [name, adapter.limits[name]]));
  const device = await adapter.requestDevice({ requiredLimits });
  /** @param {string} name */
  const file = (name) => readFileSync(join(folder, `onnx/${name}_q4.onnx`));
  return Classic.open({
    ort,
    device,
    embed: file('embed_tokens'),
    decoder: file('decoder_model_merged'),
    layers: config.text_config.num_hidden_layers,
    // As in our own loop: under Mesa's renderer, LLVM compiles the kernels for longer prompts for minutes.
    rows: isSoftware(hardware) ? 31 : 512,
  });
}

/**
 * @param {Classic} classic
 * @param {Question} question
 * @param {number} promptTokens the length of our prompt
 */
async function askClassic(classic, { tokens }, promptTokens) {
  const ids = Int32Array.from({ length: promptTokens }, (_, at) => (at * 7919 + 1) % config.vocab_size);
  const askedAt = performance.timeOrigin + performance.now();
  const elapsed = () => performance.timeOrigin + performance.now() - askedAt;
  /** @type {number | undefined} */
  let firstMs;
  await classic.answer(ids, tokens, () => (firstMs ??= elapsed()));
  const totalMs = elapsed();
  return { askedAt, firstMs: firstMs ?? totalMs, totalMs, promptTokens, text: '' };
}

/**
 * @param {string} hardware
 * @returns {import('../scenarios.mjs').Plan}
 */
function plan(hardware) {
  const common = {
    sides: ['ours', 'classic'],
    imageSides: ['ours'],
    gpu: true,
    contexts: [100, 600],
    exact: true,
    growth: false,
  };
  // At full size, a software adapter takes half a second for each token.
  const slow = !glimpse && isSoftware(hardware);
  return {
    ...common,
    rounds: Number(values.rounds),
    ...(slow ? { short: 4, long: 12, hold: 400 } : { short: 8, long: 40, hold: 400 }),
  };
}

/** @param {string} hardware as the adapter describes itself */
function isSoftware(hardware) {
  return /llvmpipe|lavapipe|swiftshader/i.test(hardware);
}

/** @param {Awaited<ReturnType<typeof openSides>>} sides */
async function measure({ model, ours, classic }) {
  /** Prompt lengths by question: ours is always asked first. @type {Map<string, number>} */
  const lengths = new Map();
  const scenarios = new Scenarios(
    {
      async ask(side, question) {
        const key = JSON.stringify(question.turns);
        const before = await worker.take();
        const answer =
          side === 'ours' ? await ours.ask(question) : await askClassic(classic, question, lengths.get(key) ?? 0);
        lengths.set(key, answer.promptTokens);
        return { ...answer, before, after: await worker.take() };
      },
      hold: async (_, ms) => void (await worker.hold(ms)),
      idle: async (_, on) => void (await worker.idle(on)),
      growth: async () => ({ growth: NaN, peak: NaN }),
      say: (words) => console.error(`bench: ${words}`),
    },
    plan(ours.facts.hardware),
  );
  await scenarios.run();
  const facts = { ours: ours.facts, classic: { ...ours.facts } };
  const { samples, lengths: prompts } = scenarios;
  const place = { where: 'Dawn, webgpu', version: `Node ${versions.node}`, model: model.id, load };
  return { ...place, facts, failed: {}, samples, lengths: prompts };
}

const ort = timedFolder();
try {
  const outcome = await measure(await openSides(ort));
  console.log(markdown(outcome));
  if (values.json) writeFileSync(values.json, JSON.stringify(outcome));
} finally {
  rmSync(ort, { recursive: true });
}
// Dawn and the message channels would keep the process alive.
exit(0);
