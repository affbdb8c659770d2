/**
 * What a constraint costs: each token of a text that the model writes anyway, and of one that it would not write; and what
 * forced text saves. Only ours, in one browser, the sides in turn.
 *
 *   node bench/constrained.mjs [--browser chromium|firefox] [--device wasm|webgpu] [--full] [--rounds N]
 *
 * The model is glimpse; with `--full` the full-size stand-in for SmolVLM-256M. Prints medians.
 */
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { openModelSite } from './one-model.mjs';
import { median } from './rows.mjs';

const { values } = parseArgs({
  options: {
    browser: { type: 'string', default: 'chromium' },
    device: { type: 'string', default: 'wasm' },
    full: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '5' },
  },
});

/** Tokens of the short and the long answer that a time per token is the difference of. */
const SHORT = 4;
const LONG = 64;

/** Half of its text is forced: the names. */
const RECEIPT = {
  type: 'object',
  properties: Object.fromEntries(
    ['name of the thing in the picture', 'color of the thing in the picture', 'number of things in the picture'].map(
      (name) => [name, { enum: ['red apple', 'green', 'three', 'rocket', 'seven', 'a dog'] }],
    ),
  ),
  required: [
    'name of the thing in the picture',
    'color of the thing in the picture',
    'number of things in the picture',
  ],
};

/** @type {Record<string, Record<string, unknown>>} */
const SIDES = {
  free: {},
  // Any text, so the model writes what it would write.
  'any text': { guided_regex: '[^]*' },
  // None of the letters that most words have: the model's first choice is refused again and again.
  'without a, e, i': { guided_regex: '[^aei]*' },
};

const device = values.device === 'webgpu' ? 'webgpu' : 'wasm';
const { site, model, openPage } = await openModelSite(values.full);
const { browser, page } = await openPage(values.browser);
try {
  /** @type {import('./page/side.ts').Opening} */
  const opening = { model, device, dtype: 'q4' };
  const facts = await page.evaluate((given) => bench.open('ours', 'ours', given), opening);
  console.log(`${model.id}, ${device}, ${values.browser}: ${facts.hardware}; load ${loadavg()[0]}`);

  /** @param {number} tokens @param {Record<string, unknown>} fields */
  const ask = (tokens, fields) =>
    page.evaluate(
      (count, given) =>
        bench.ask('ours', { turns: [{ role: 'user', text: 'What is this?' }], tokens: count, fields: given }),
      tokens,
      fields,
    );

  /** @type {Record<string, number[]>} */
  const times = { forced: [], 'as many tokens freely': [] };
  let tokens = 0;
  const whole = { response_format: { type: 'json_schema', json_schema: { name: 'receipt', schema: RECEIPT } } };
  for (let round = 0; round <= Number(values.rounds); round++) {
    // The first round compiles and caches; it is not counted.
    for (const [name, fields] of Object.entries(SIDES)) {
      const short = await ask(SHORT, fields);
      const long = await ask(LONG, fields);
      if (round > 0) (times[name] ??= []).push((long.totalMs - short.totalMs) / (LONG - SHORT));
    }
    const forced = await ask(0, whole);
    tokens = forced.tokens ?? NaN;
    const freely = await ask(tokens, {});
    if (round > 0) times['forced']?.push(forced.totalMs - forced.firstMs);
    if (round > 0) times['as many tokens freely']?.push(freely.totalMs - freely.firstMs);
    if (round === 0) console.log(`${tokens} tokens: ${forced.text}`);
  }
  const free = median(times['free'] ?? []) ?? NaN;
  for (const name of Object.keys(SIDES)) {
    const time = median(times[name] ?? []) ?? NaN;
    console.log(`${name}: ${time.toFixed(2)} ms a token, ${(time / free).toFixed(3)} of free`);
  }
  const forced = median(times['forced'] ?? []) ?? NaN;
  const freely = median(times['as many tokens freely'] ?? []) ?? NaN;
  console.log(
    `a schema: ${forced.toFixed(1)} ms, as many tokens freely ${freely.toFixed(1)} ms: ${(forced / freely).toFixed(2)}`,
  );
} finally {
  await browser.close();
  await site.close();
}
