/**
 * The benchmark without a browser: the built package in Node, on Dawn, beside the classic loop written out by hand
 * (`classic.mjs`) on the same onnxruntime and the same adapter. What is measured: `../scenarios.mjs`.
 *
 *   node bench/dawn/main.mjs [--model FOLDER] [--rounds N] [--json FILE] [--dawn backend=vulkan]
 *
 * In process there is no GPU process to talk to: the round trips that a browser pays are missing here, for both sides.
 * It needs the built package, `webgpu` and Node only, so that it can be packed for a machine with nothing else on it.
 */
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
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
import { surround } from './surroundings.mjs';

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
surround(values.dawn);
await import('../../tools/counters/patch.mjs');
const { openOurs } = await import('../ours.mjs');

const root = fileURLToPath(new URL('../../', import.meta.url));
const folder = values.model ? resolve(values.model) : join(root, 'dist/glimpse');
/** @param {string} name */
const read = (name) => JSON.parse(readFileSync(join(folder, name), 'utf8'));
const config = read('config.json');
const glimpse = config.vocab_size < 10_000;
// The text config's own end token is wrong.
const endTokens = [read('generation_config.json').eos_token_id].flat();

const { obey } = globalThis.counted;

/** Both sides run in this thread, one after the other. */
const worker = {
  take: async () => obey('take', 0),
  /** @param {number} ms */
  hold: async (ms) => obey('hold', ms),
  /** @param {boolean} on */
  idle: async (on) => obey('idle', on ? 1 : 0),
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

/** onnxruntime's files, with a script in front that notes when it runs. */
function timedFolder() {
  const made = mkdtempSync(join(tmpdir(), 'nearsight-bench-'));
  const real = join(root, 'dist/ort');
  const names = ['ort-wasm-simd-threaded.asyncify.mjs', 'ort-wasm-simd-threaded.asyncify.wasm'];
  for (const name of names) symlinkSync(join(real, name), join(made, name));
  writeFileSync(join(made, 'ort.webgpu.min.mjs'), timedOrt(pathToFileURL(join(real, 'ort.webgpu.min.mjs')).href));
  return made;
}

/** @param {string} ort folder of our onnxruntime */
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
 * With a module of onnxruntime of its own, and a device like ours.
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
    // LLVM, under Mesa's renderer, compiles the kernel for longer prompts for minutes; as our own loop does.
    rows: isSoftware(hardware) ? 31 : 512,
  });
}

/**
 * @param {Classic} classic
 * @param {Question} question
 * @param {number} promptTokens as many as ours read
 */
async function askClassic(classic, { tokens }, promptTokens) {
  const ids = Int32Array.from({ length: promptTokens }, (_, at) => (at * 7919 + 1) % config.vocab_size);
  const askedAt = performance.timeOrigin + performance.now();
  const since = () => performance.timeOrigin + performance.now() - askedAt;
  /** @type {number | undefined} */
  let firstMs;
  await classic.answer(ids, tokens, () => (firstMs ??= since()));
  const totalMs = since();
  return { askedAt, firstMs: firstMs ?? totalMs, totalMs, promptTokens, text: '' };
}

/**
 * @param {string} hardware
 * @returns {import('../scenarios.mjs').Plan}
 */
function plan(hardware) {
  const common = {
    sides: ['ours', 'classic'],
    seeing: ['ours'],
    gpu: true,
    contexts: [100, 600],
    exact: true,
    growth: false,
  };
  // At full size, a software adapter takes half a second a token.
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
  /** Prompt lengths by what was asked: ours is always asked first. @type {Map<string, number>} */
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
// Dawn and the channels between the two halves would keep the process alive.
exit(0);
