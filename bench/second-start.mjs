/**
 * How long a page takes until a stored model is ready: ours from its store, transformers.js from its cache, the same files,
 * in turn, each time in a browser of its own that keeps the profile of the visit that stored the model.
 *
 *   node bench/second-start.mjs [--browser chromium|firefox] [--device webgpu|wasm] [--full] [--rounds N] [--side NAME]
 *
 * The model is glimpse; with `--full` the full-size stand-in for SmolVLM-256M (q4). Prints a line for each start, in
 * milliseconds: `total` from the call that loads until it is ready; `gpu`, of that, waits for the GPU; `selfTest`, the steps of a
 * load that compare GPU and CPU or warm up shaders (transformers.js has none), with their own waits; `own`, the rest. On
 * wasm, `4 bits` is ours in a browser that says that it has little memory.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openModelSite } from './one-model.mjs';

/** @typedef {import('./page/side.ts').Opening} Opening */

const { values } = parseArgs({
  options: {
    browser: { type: 'string', default: 'chromium' },
    device: { type: 'string', default: 'wasm' },
    full: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '3' },
    side: { type: 'string' },
  },
});
/** @type {Opening['device']} */
const device = values.device === 'webgpu' ? 'webgpu' : 'wasm';

/** Less than a device must say that it has, for weights to be dequantized. */
const FEW_GIGABYTES = 4;

/** @type {Record<string, { kind: 'ours' | 'theirs', gigabytes?: number }>} */
const sides = {
  ours: { kind: 'ours' },
  ...(device === 'wasm' && { '4 bits': { kind: 'ours', gigabytes: FEW_GIGABYTES } }),
  'transformers.js': { kind: 'theirs' },
};

const { site, model, openPage } = await openModelSite(values.full);
const profile = mkdtempSync(join(tmpdir(), 'nearsight-start-'));
try {
  /** @type {Opening} */
  const opening = { model, device, dtype: 'q4', cached: true };
  const chosen = Object.entries(sides).filter(([side]) => (values.side ?? side) === side);
  // On wasm, which takes the same files and less time on a software GPU.
  for (const kind of new Set(chosen.map(([, side]) => side.kind)))
    await start({ kind }, { ...opening, device: 'wasm' });
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [side, how] of chosen) {
      console.log(JSON.stringify({ side, ...(await start(how, opening)), machine: loadavg()[0] }));
    }
  }
} finally {
  rmSync(profile, { recursive: true, force: true });
  await site.close();
}

/**
 * Opens the model in a browser of its own.
 *
 * @param {{ kind: 'ours' | 'theirs', gigabytes?: number }} side
 * @param {Opening} opening
 */
async function start({ kind, gigabytes }, opening) {
  const { browser, page } = await openPage(values.browser, { profile, gigabytes });
  try {
    const { from, to, steps, waits } = await page.evaluate((...args) => bench.start(...args), kind, opening);
    const tests = selfTests(steps, to);
    const tested = covered(tests);
    const all = covered([...tests, ...waits.filter(([begin]) => begin >= from && begin < to)]);
    const [total, selfTest, gpu, own] = [to - from, tested, all - tested, to - from - all].map(Math.round);
    return { total, selfTest, gpu, own, steps: steps.map((time) => Math.round(time - from)) };
  } finally {
    await browser.close();
  }
}

/**
 * When our self-tests ran on a GPU: after the vision encoder was opened, after the decoder was, and at the end, where the
 * table is uploaded too.
 *
 * @param {readonly number[]} steps when each step of the load was done
 * @param {number} end
 * @returns {[number, number][]}
 */
function selfTests(steps, end) {
  const [vision = end, visionTested = end, decoder = end, decoderTested = end, embed = end] = steps;
  return device === 'wasm'
    ? []
    : [
        [vision, visionTested],
        [decoder, decoderTested],
        [embed, end],
      ];
}

/**
 * How much time these spans cover together.
 *
 * @param {readonly (readonly [number, number])[]} spans
 */
function covered(spans) {
  let [sum, until] = [0, -Infinity];
  for (const [begin, end] of spans.toSorted(([one], [other]) => one - other)) {
    sum += Math.max(0, end - Math.max(begin, until));
    until = Math.max(until, end);
  }
  return sum;
}
