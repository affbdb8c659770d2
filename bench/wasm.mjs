/**
 * What else counts on wasm, of the full-size stand-in for SmolVLM-256M, in Chromium. Only ours.
 *
 *   node bench/wasm.mjs [--rounds N] [--part threads|tiles|followup|memory]
 *
 * - **threads**: what a second thread gives: the first token of a new text of 500 tokens, and each token decoded behind 100.
 *   The side with one thread is told of one core; both sides take turns.
 * - **tiles**: the first token about a 640x480 image in 13 crops, beside 13 times an image of one crop (less a text of as
 *   many tokens) and a text of as many tokens.
 * - **followup**: the first token of a second question about an image, beside a new text with as many tokens to read.
 * - **memory**: RSS of the renderer with the model open, and after an image, a follow-up and a text of 500 tokens.
 */
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { openModelSite } from './one-model.mjs';
import { renderersOf, residentBytes } from './renderer-memory.mjs';
import { median } from './rows.mjs';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '3' }, part: { type: 'string' } } });

/** A device that says so keeps 4-bit weights. */
const FEW_GIGABYTES = 2;
/** Garbage is collected some time after the last answer. */
const SETTLE_MS = 3000;

const { site, model, openPage } = await openModelSite(true);

/** @typedef {import('./page/side.ts').Turn} Turn */

/** @param {Parameters<typeof openPage>[1]} [device] */
async function open(device) {
  const { browser, page } = await openPage('chromium', device);
  /** @type {import('./page/side.ts').Opening} */
  const opening = { model, device: 'wasm', dtype: 'q4' };
  const facts = await page.evaluate((given) => bench.open('ours', 'ours', given), opening);
  console.error(`bench: ${facts.hardware}`);
  let number = 0;
  /** @param {Turn[]} turns @param {number} tokens */
  const ask = (turns, tokens = 1) =>
    page.evaluate((given, count) => bench.ask('ours', { turns: given, tokens: count }), turns, tokens);
  /** The first words differ, so that nothing of an earlier text is reused. @param {number} fillers @returns {Turn} */
  const text = (fillers) => ({ role: 'user', text: `${number++}: what?${' and then a dog'.repeat(fillers)}` });
  const { promptTokens: fewest } = await ask([text(0)]);
  const { promptTokens: more } = await ask([text(10)]);
  /** A new text that makes a prompt of about that many tokens. @param {number} tokens */
  const textOf = (tokens) => text(Math.max(0, Math.round(((tokens - fewest) * 10) / (more - fewest))));
  /** @param {'low' | 'high'} detail @returns {Turn} */
  const image = (detail) => ({ role: 'user', text: `${number++}: what?`, image: number, detail });
  return { browser, ask, textOf, image };
}

/** @type {Record<string, () => Promise<unknown>>} */
const parts = {
  async threads() {
    const sides = [await open({ cores: 1 }), await open({ cores: 2 })];
    const prompts = sides.map(() => /** @type {number[]} */ ([]));
    const steps = sides.map(() => /** @type {number[]} */ ([]));
    for (let round = 0; round <= Number(values.rounds); round++) {
      for (const [at, { ask, textOf }] of sides.entries()) {
        const { firstMs } = await ask([textOf(500)]);
        const context = textOf(100);
        await ask([context]);
        const brief = await ask([context], 4);
        const long = await ask([context], 24);
        // The first round only warms up.
        if (round === 0) continue;
        prompts[at]?.push(firstMs);
        steps[at]?.push((long.totalMs - brief.totalMs) / 20);
      }
    }
    for (const { browser } of sides) await browser.close();
    return { promptMs: prompts.map(median), stepMs: steps.map(median) };
  },

  async tiles() {
    const { browser, ask, textOf, image } = await open();
    const rows = [];
    for (let round = 0; round <= Number(values.rounds); round++) {
      const tiles = await ask([image('high')]);
      const single = await ask([image('low')]);
      const short = await ask([textOf(single.promptTokens)]);
      const long = await ask([textOf(tiles.promptTokens)]);
      const apart = 13 * (single.firstMs - short.firstMs) + long.firstMs;
      const times = [tiles, single, short, long].map(({ firstMs }) => Math.round(firstMs));
      if (round > 0) rows.push({ ratio: tiles.firstMs / apart, times, tokens: tiles.promptTokens });
    }
    await browser.close();
    return rows;
  },

  async followup() {
    const { browser, ask, textOf, image } = await open();
    const rows = [];
    for (let round = 0; round <= Number(values.rounds); round++) {
      const first = image('low');
      const { text } = await ask([first], 5);
      const next = await ask([first, { role: 'assistant', text }, { role: 'user', text: 'And what is next to it?' }]);
      const unread = next.promptTokens - (next.cachedTokens ?? 0);
      const alone = await ask([textOf(unread + 8)]);
      const read = alone.promptTokens - (alone.cachedTokens ?? 0);
      if (round > 0) rows.push({ ms: next.firstMs, unread, aloneMs: alone.firstMs, read });
    }
    await browser.close();
    return rows;
  },

  async memory() {
    const rows = [];
    for (const gigabytes of [undefined, FEW_GIGABYTES]) {
      const { browser, ask, textOf, image } = await open({ gigabytes });
      const resident = async () => {
        await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
        const sizes = (await renderersOf(browser)).map((id) => residentBytes(id, ['Anon', 'Shmem', 'File']));
        return Math.round(Math.max(...sizes) / 1e6);
      };
      const opened = await resident();
      const first = image('low');
      const { text } = await ask([first], 5);
      await ask([first, { role: 'assistant', text }, { role: 'user', text: 'And what is next to it?' }], 5);
      await ask([textOf(500)], 24);
      rows.push({
        weights: gigabytes === undefined ? 'dequantized' : '4 bits',
        openedMB: opened,
        usedMB: await resident(),
      });
      await browser.close();
    }
    return rows;
  },
};

try {
  for (const [name, measure] of Object.entries(parts)) {
    if ((values.part ?? name) !== name) continue;
    console.log(JSON.stringify({ part: name, result: await measure(), load: loadavg()[0] }));
  }
} finally {
  await site.close();
}
