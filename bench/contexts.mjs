/**
 * How times grow with the context: the first token of a new text of so many tokens, and each token decoded behind it. Only
 * ours, in one browser.
 *
 *   node bench/contexts.mjs [--browser chromium|firefox] [--device wasm|webgpu] [--full] [--contexts 100,500,1000]
 *                           [--rounds N] [--svg FILE]
 *
 * The model is glimpse; with `--full` the full-size stand-in for SmolVLM-256M. Prints medians, and draws them with `--svg`.
 */
import { writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { chart } from './chart.mjs';
import { openModelSite } from './one-model.mjs';
import { median } from './rows.mjs';

const { values } = parseArgs({
  options: {
    browser: { type: 'string', default: 'chromium' },
    device: { type: 'string', default: 'wasm' },
    full: { type: 'boolean', default: false },
    contexts: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    svg: { type: 'string' },
  },
});

/** Tokens of the short and the long answer that a decode time is the difference of. */
const SHORT = 4;
const LONG = 24;

const device = values.device === 'webgpu' ? 'webgpu' : 'wasm';
const contexts = (values.contexts ?? (values.full ? '100,500,1000,1900,4000' : '100,500,1000,2000,4000'))
  .split(',')
  .map(Number);
const { site, model, openPage } = await openModelSite(values.full);
const { browser, page } = await openPage(values.browser);
try {
  /** @type {import('./page/side.ts').Opening} */
  const opening = { model, device, dtype: 'q4' };
  const facts = await page.evaluate((given) => bench.open('ours', 'ours', given), opening);
  console.error(`bench: ${facts.hardware}`);

  let number = 0;
  /** @param {string} text @param {number} tokens */
  const ask = (text, tokens) =>
    page.evaluate(
      (given, count) => bench.ask('ours', { turns: [{ role: 'user', text: given }], tokens: count }),
      text,
      tokens,
    );
  /** The first words differ, so that nothing of an earlier text is reused. @param {number} fillers */
  const textOf = (fillers) => `${number++}: what is this?${' and then a dog'.repeat(fillers)}`;
  const [ten, thirty] = [await ask(textOf(10), 1), await ask(textOf(30), 1)];
  const tokensPerFiller = (thirty.promptTokens - ten.promptTokens) / 20;

  const rows = [];
  for (const context of contexts) {
    const fillers = Math.max(0, Math.round((context - ten.promptTokens) / tokensPerFiller) + 10);
    /** @type {number[]} */
    const first = [];
    /** @type {number[]} */
    const decode = [];
    let promptTokens = 0;
    for (let round = 0; round < Number(values.rounds); round++) {
      const text = textOf(fillers);
      const answer = await ask(text, SHORT);
      promptTokens = answer.promptTokens;
      first.push(answer.firstMs);
      const short = await ask(text, SHORT);
      const long = await ask(text, LONG);
      decode.push((long.totalMs - short.totalMs) / (LONG - SHORT));
    }
    const row = { tokens: promptTokens, firstMs: median(first) ?? NaN, decodeMs: median(decode) ?? NaN };
    rows.push(row);
    console.log(JSON.stringify({ ...row, load: loadavg()[0] }));
  }
  const title = `${model.id}, ${device}, ${facts.hardware}`;
  if (values.svg) writeFileSync(values.svg, chart(title, rows));
} finally {
  await browser.close();
  await site.close();
}
