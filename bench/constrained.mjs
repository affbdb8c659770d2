/**
 * What a constraint costs: each token of a text that the model writes anyway, and of one that it would not write; and what
 * forced text saves. Only ours, in one browser, the sides in turn.
 *
 *   node bench/constrained.mjs [--browser chromium|firefox] [--device wasm|webgpu] [--full] [--rounds N]
 *
 * The model is glimpse; with `--full` the full-size stand-in for SmolVLM-256M. Prints medians.
 */
import { loadavg } from 'node:os';
import { chdir } from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { prepare } from '../tools/fresh.mjs';
import { fillStandin, standinAvailable, standinFolder } from '../tools/standin.mjs';

chdir(fileURLToPath(new URL('..', import.meta.url)));

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

prepare();
if (values.full && !standinAvailable)
  throw new Error('The full-size stand-in for SmolVLM-256M is not on this machine.');
if (values.full) fillStandin('q4');
// Imported here, after `prepare()` has installed the packages that these need.
const [{ openSite }, { launchBrowser }, { installCounters }, { specOfFolder }] = await Promise.all([
  import('./site.mjs'),
  import('../tools/browser.mjs'),
  import('../tools/counters.mjs'),
  import('../tools/ask/model.mjs'),
]);

const device = values.device === 'webgpu' ? 'webgpu' : 'wasm';
const site = await openSite();
const browser = await launchBrowser(values.browser === 'firefox' ? 'firefox' : 'chromium', { protocolTimeout: 0 });
try {
  const page = await browser.newPage();
  await page.evaluateOnNewDocument(installCounters);
  await page.goto(`${site.origin}/`);
  await page.waitForFunction(() => 'bench' in globalThis);
  const folder = values.full ? 'standin' : 'glimpse';
  const spec = await specOfFolder(values.full ? standinFolder : 'models/glimpse', `${site.origin}/models/${folder}/`);
  const model = { id: spec.id, folder, spec, endTokens: values.full ? [49279] : [1279] };
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
  const free = median(times['free'] ?? []);
  for (const name of Object.keys(SIDES)) {
    const time = median(times[name] ?? []);
    console.log(`${name}: ${time.toFixed(2)} ms a token, ${(time / free).toFixed(3)} of free`);
  }
  const [forced, freely] = [median(times['forced'] ?? []), median(times['as many tokens freely'] ?? [])];
  console.log(
    `a schema: ${forced.toFixed(1)} ms, as many tokens freely ${freely.toFixed(1)} ms: ${(forced / freely).toFixed(2)}`,
  );
} finally {
  await browser.close();
  await site.close();
}

/** @param {readonly number[]} samples */
function median(samples) {
  return samples.toSorted((one, other) => one - other)[Math.floor(samples.length / 2)] ?? NaN;
}
