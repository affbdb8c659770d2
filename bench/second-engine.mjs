/**
 * The second engine beside transformers.js's own `generate()`: one model of another family on one page, both sides in turn, with the
 * same files. The model has the shapes of Qwen3.5-0.8B and random weights in 4 bits (`qwen/qwen-model.mjs` makes it, which needs a
 * folder outside this repository); with `--tiny`, its twin of 4 MB.
 *
 *   node bench/second-engine.mjs [--browser chromium|firefox] [--device wasm|webgpu] [--tiny] [--rounds N] [--requests N]
 *                                [--part times|memory]
 *
 * - **times**: as `scenarios.mjs` says, with images of 300 feature rows. On wasm transformers.js has as many threads as ours, on
 *   WebGPU no validation: its defaults are slower.
 * - **memory**: ours only. Of all processes of the browser, and of GPU buffers alive, during `--requests` questions about five
 *   images in turn: after the first fifth the caches of features and snapshots are full. After `unload()`, beside the same page before the
 *   model was opened. Linux only.
 *
 * A round takes some four minutes on two cores; 100 requests, ten.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { openModelSite } from './one-model.mjs';
import { fillQwen } from './qwen/qwen-model.mjs';
import { browserBytes } from './renderer-memory.mjs';
import { markdown, secondEngineRows } from './rows.mjs';

const { values } = parseArgs({
  options: {
    browser: { type: 'string', default: 'chromium' },
    device: { type: 'string', default: 'wasm' },
    tiny: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '3' },
    requests: { type: 'string', default: '100' },
    part: { type: 'string' },
  },
});

/** Garbage is collected some time after the last answer. */
const SETTLE_MS = 5000;
/** More, of what the model takes, and memory is not flat, or not given back. Pages vary by some MB, which the twin is too small for. */
const TOLERANCE = 0.02;
const IMAGES = 5;

/** @param {string} words */
const say = (words) => console.error(`bench: ${words}`);

/** @type {'chromium' | 'firefox'} */
const browser = values.browser === 'firefox' ? 'firefox' : 'chromium';
/** @type {'webgpu' | 'wasm'} */
const device = values.device === 'webgpu' ? 'webgpu' : 'wasm';
const files = fillQwen(values.tiny);
const { eos_token_id: endTokens } = JSON.parse(readFileSync(join(files, 'generation_config.json'), 'utf8'));
const folder = values.tiny ? 'qwen3.5-tiny' : 'qwen3.5-0.8b';
const { site, model, openPage } = await openModelSite({ folder, files, endTokens });
/** @type {'fp16' | 'fp32'} */
const embedDtype = values.tiny ? 'fp32' : 'fp16';
useEmbeddings(model.spec);
try {
  if ((values.part ?? 'times') === 'times') await measureTimes();
  if ((values.part ?? 'memory') === 'memory') await measureMemory();
} finally {
  await site.close();
}

/** The twin has embeddings in 4 bits as well, which transformers.js cannot look up on wasm. @param {import('nearsight').ModelSpec} spec */
function useEmbeddings({ variants }) {
  const [q4, other] = ['q4', 'fp32'].map((dtype) => variants.find((variant) => variant.dtype === dtype));
  if (values.tiny && q4 && other) q4.graphs.embed = other.graphs.embed;
}

async function measureTimes() {
  const { benchInBrowser } = await import('./browser.mjs');
  const plan = {
    rounds: Number(values.rounds),
    contexts: [100],
    short: 4,
    long: values.tiny ? 40 : 12,
    hold: 0,
    exact: false,
    growth: false,
    sampled: false,
    detail: /** @type {const} */ ('high'),
  };
  const run = {
    browser,
    device,
    model,
    dtype: 'q4',
    gpu: /** @type {const} */ ('software'),
    plan,
    one: { embedDtype },
  };
  const outcome = await benchInBrowser(run, site.origin, say);
  console.log(markdown(outcome, secondEngineRows(outcome)));
  console.log(JSON.stringify({ samples: outcome.samples, lengths: outcome.lengths, load: outcome.load }));
}

async function measureMemory() {
  const { browser: opened, page } = await openPage(browser);
  const settled = async () => {
    await delay(SETTLE_MS);
    return browserBytes(opened);
  };
  try {
    const before = await settled();
    /** @type {import('./page/side.ts').Opening} */
    const opening = { model, device, dtype: 'q4' };
    await page.evaluate((given) => bench.open('ours', 'ours', given), opening);
    const ready = await settled();
    const requests = Number(values.requests);
    /** @type {{ requests: number, bytes: number, gpuBytes: number }[]} */
    const taken = [];
    for (let request = 1; request <= requests; request++) {
      const text = `${request}: what is this?`;
      const turns = [
        { role: /** @type {const} */ ('user'), text, image: request % IMAGES, detail: /** @type {const} */ ('high') },
      ];
      const { after } = await page.evaluate((given) => bench.ask('ours', given), { turns, tokens: 4 });
      if (request % Math.ceil(requests / 5) > 0) continue;
      taken.push({ requests: request, bytes: await settled(), gpuBytes: after.liveBytes });
      say(JSON.stringify(taken.at(-1)));
    }
    await page.evaluate(() => bench.unload('ours'));
    const unloaded = await settled();
    const [first, last] = [taken[0], taken.at(-1)];
    if (!first || !last) throw new Error('--requests is too small');
    const allowed = TOLERANCE * (first.bytes - before);
    const growth = last.bytes - first.bytes;
    const gpuGrowth = last.gpuBytes - first.gpuBytes;
    const left = unloaded - before;
    console.log(
      `\n### memory of ${model.id} in ${browser}, ${device}\n\n| | MB | GPU buffers, MB |\n| --- | --- | --- |`,
    );
    console.log(`| page | ${mb(before)} | |\n| model open | ${mb(ready)} | |`);
    for (const { requests: count, bytes, gpuBytes } of taken)
      console.log(`| ${count} requests | ${mb(bytes)} | ${mb(gpuBytes)} |`);
    console.log(`| unloaded | ${mb(unloaded)} | |\n`);
    console.log(`flat: ${verdict(growth <= allowed && gpuGrowth <= 0)}; given back: ${verdict(left <= allowed)}`);
  } finally {
    await opened.close();
  }
}

/** @param {number} bytes */
function mb(bytes) {
  return (bytes / 1e6).toFixed(1);
}

/** @param {boolean} met */
function verdict(met) {
  return met ? 'met' : 'missed';
}
