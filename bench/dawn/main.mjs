/**
 * The benchmark without a browser: the built package in Node on Dawn, compared with a hand-written classic loop
 * (`classic.mjs`) on the same ONNX Runtime and adapter, and with itself where decode steps are recorded anew instead of
 * captured and replayed. `../scenarios.mjs` defines the measures.
 *
 *   node bench/dawn/main.mjs [--model FOLDER] [--sides uncaptured,classic] [--rounds N] [--json FILE] [--no-counts]
 *                            [--contexts 100,600] [--only decode|own] [--heap FOLDER] [--dawn backend=vulkan]
 *
 * `--heap` writes where each side allocates without the GPU, as files for DevTools (`*.heapprofile`).
 *
 * Dawn runs in this process, so all sides lack the round trips to a browser's GPU process. It needs only the built
 * package, `webgpu` and Node, so that it can be packed for another machine (`../pack.mjs`).
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { exit, versions } from 'node:process';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { markdown } from '../rows.mjs';
import { Scenarios } from '../scenarios.mjs';
import { allocated } from './allocated.mjs';
import { installBrowserGlobals } from './browser-globals.mjs';
import { Classic } from './classic.mjs';
import { openOurSide, readModel, root } from './our-side.mjs';

/** @typedef {import('../page/side.ts').Question} Question */

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    sides: { type: 'string', default: 'uncaptured,classic' },
    rounds: { type: 'string', default: '3' },
    json: { type: 'string' },
    'no-counts': { type: 'boolean', default: false },
    contexts: { type: 'string', default: '100,600' },
    only: { type: 'string' },
    heap: { type: 'string' },
    dawn: { type: 'string', multiple: true, default: [] },
  },
});

const others = values.sides.split(',').filter((side) => side !== '');
if (others.some((side) => !['uncaptured', 'classic'].includes(side))) throw new Error(`--sides ${values.sides}`);
const load = Number(values.rounds) > 0 ? loadavg() : undefined;
installBrowserGlobals(values.dawn);
await import('../../tools/counters/patch.mjs');

const model = await readModel(values.model);
const { folder, config, glimpse } = model;
const { run } = globalThis.counted;

/** All sides run in this thread, one at a time. */
const worker = {
  take: async () => run('take', 0),
  /** @param {number} ms */
  hold: async (ms) => run('hold', ms),
  /** @param {boolean} on */
  idle: async (on) => run('idle', on ? 1 : 0),
};

async function openSides() {
  const ours = await openOurSide(model, true, worker);
  const uncaptured = others.includes('uncaptured') ? await openOurSide(model, false, worker) : undefined;
  return { ours, uncaptured, classic: others.includes('classic') ? await openClassic(ours.facts.hardware) : undefined };
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
 * @param {Classic | undefined} classic
 * @param {Question} question
 * @param {number} promptTokens the length of our prompt
 */
async function askClassic(classic, { tokens }, promptTokens) {
  if (!classic) throw new Error('the classic loop is not open');
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
    sides: ['ours', ...others],
    imageSides: ['ours'],
    gpu: true,
    contexts: values.contexts.split(',').map(Number),
    ...(values.only && {
      only: values.only === 'own' ? /** @type {const} */ ('own') : /** @type {const} */ ('decode'),
    }),
    exact: !values['no-counts'],
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
async function measure({ ours, uncaptured, classic }) {
  /** Prompt lengths by question: ours is always asked first. @type {Map<string, number>} */
  const lengths = new Map();
  const scenarios = new Scenarios(
    {
      async ask(side, question) {
        const key = JSON.stringify(question.turns);
        const before = await worker.take();
        const ourSide = side === 'ours' ? ours : side === 'uncaptured' ? uncaptured : undefined;
        const answer = ourSide
          ? await ourSide.ask(question)
          : await askClassic(classic, question, lengths.get(key) ?? 0);
        lengths.set(key, answer.promptTokens);
        return { ...answer, before, after: await worker.take() };
      },
      hold: async (_, ms) => void (await worker.hold(ms)),
      idle: async (_, on) => void (await worker.idle(on)),
      growth: async () => ({ growth: NaN, peak: NaN }),
      async allocated(side, work) {
        const { bytes, profile } = await allocated(work);
        // The longest answer's is written last.
        if (values.heap) writeFileSync(join(values.heap, `${side}.heapprofile`), JSON.stringify(profile));
        return bytes;
      },
      say: (words) => console.error(`bench: ${words}`),
    },
    plan(ours.facts.hardware),
  );
  await scenarios.run();
  const facts = Object.fromEntries(['ours', ...others].map((side) => [side, { ...ours.facts }]));
  const { samples, lengths: prompts } = scenarios;
  const place = { where: 'Dawn, webgpu', version: `Node ${versions.node}`, model: model.id, load };
  return { ...place, facts, failed: {}, samples, lengths: prompts };
}

const outcome = await measure(await openSides());
console.log(markdown(outcome));
if (values.json) writeFileSync(values.json, JSON.stringify(outcome));
// Dawn and the message channels would keep the process alive.
exit(0);
