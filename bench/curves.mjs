/**
 * How times grow: with the context, with the images of a chat and with its turns. Only ours, in one browser.
 *
 *   node bench/curves.mjs [--browser chromium|firefox] [--device wasm|webgpu] [--full] [--parts contexts,images,turns]
 *                         [--contexts 100,1000,4000] [--images 1,4,16] [--turns 1,20,200] [--rounds N]
 *   node bench/curves.mjs --draw      only draws
 *
 * - **contexts**: the first token of a new text of so many tokens, and each token decoded behind it.
 * - **images**: the first token about so many new images, one crop each, and of a second question about them.
 * - **turns**: the first token of the next question in a chat of so many turns, all of which were asked before, about an
 *   image in the first. Also how many tokens of its prompt were not in the cache, and the runs of the vision encoder.
 *
 * The model is glimpse; with `--full` the full-size stand-in for SmolVLM-256M. Prints a line for each point, with medians over
 * the rounds; turns are taken once. Points are kept in `bench/results/curves.json`, in place of earlier ones of the same model,
 * browser and device, and drawn as `docs/curves-<model>.svg`.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { chdir } from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chart } from './chart.mjs';
import { openModelSite } from './one-model.mjs';
import { median } from './rows.mjs';

/**
 * @typedef {import('./page/page.ts').Measured} Measured
 * @typedef {import('./page/side.ts').Turn} Turn
 * @typedef {Record<string, number>} Point
 * @typedef {{ model: string, browser: string, device: string, hardware: string, date: string, cpu: string | undefined,
 *   parts: Record<string, Point[]> }} Curves
 */

chdir(fileURLToPath(new URL('..', import.meta.url)));

const { values } = parseArgs({
  options: {
    browser: { type: 'string', default: 'chromium' },
    device: { type: 'string', default: 'wasm' },
    full: { type: 'boolean', default: false },
    parts: { type: 'string', default: 'contexts,images,turns' },
    contexts: { type: 'string' },
    images: { type: 'string', default: '1,4,16' },
    turns: { type: 'string', default: '1,20,200' },
    rounds: { type: 'string', default: '3' },
    draw: { type: 'boolean', default: false },
  },
});

const RESULTS = 'bench/results/curves.json';

/** Tokens of the short and the long answer that a decode time is the difference of. */
const SHORT = 4;
const LONG = 24;

/** @param {string} list */
const numbers = (list) => list.split(',').map(Number);

/** The first words of a new text: nothing of an earlier one is reused. */
let number = 0;
let imageNumber = 0;

const rounds = Number(values.rounds);
const device = values.device === 'webgpu' ? 'webgpu' : 'wasm';

if (values.draw) draw(read());
else await measure();

async function measure() {
  const { site, model, openPage } = await openModelSite(values.full);
  const { browser, page } = await openPage(values.browser);
  try {
    /** @type {import('./page/side.ts').Opening} */
    const opening = { model, device, dtype: 'q4' };
    const { hardware } = await page.evaluate((given) => bench.open('ours', 'ours', given), opening);
    console.error(`bench: ${hardware}`);
    /** @type {Ask} */
    const ask = (turns, tokens) =>
      page.evaluate((given, count) => bench.ask('ours', { turns: given, tokens: count }), [...turns], tokens);
    const contexts = values.contexts ?? (values.full ? '100,1000,2000,4000,8000' : '100,1000,2000,4000');
    /** @type {Record<string, () => Promise<Point[]>>} */
    const parts = {
      contexts: () => takeContexts(ask, numbers(contexts)),
      images: () => takeImages(ask, numbers(values.images)),
      turns: () => takeTurns(ask, numbers(values.turns)),
    };
    /** @type {Record<string, Point[]>} */
    const taken = {};
    for (const part of values.parts.split(',')) {
      const take = parts[part];
      if (!take) throw new Error(`--parts ${part}`);
      taken[part] = await take();
    }
    const date = new Date().toISOString().slice(0, 10);
    save({ model: model.id, browser: values.browser, device, hardware, date, cpu: cpus()[0]?.model, parts: taken });
  } finally {
    await browser.close();
    await site.close();
  }
}

/** @typedef {(turns: readonly Turn[], tokens: number) => Promise<Measured>} Ask */

/** @param {Ask} ask @param {readonly number[]} contexts */
async function takeContexts(ask, contexts) {
  /** @param {number} fillers @returns {Turn} */
  const textOf = (fillers) => ({
    role: 'user',
    text: `${number++}: what is this?${' and then a dog'.repeat(fillers)}`,
  });
  const [ten, thirty] = [await ask([textOf(10)], 1), await ask([textOf(30)], 1)];
  const tokensPerFiller = (thirty.promptTokens - ten.promptTokens) / 20;
  /** @type {Point[]} */
  const points = [];
  for (const context of contexts) {
    const fillers = Math.max(0, Math.round((context - ten.promptTokens) / tokensPerFiller) + 10);
    /** @type {number[]} */
    const first = [];
    /** @type {number[]} */
    const decode = [];
    let tokens = 0;
    for (let round = 0; round < rounds; round++) {
      const text = textOf(fillers);
      const answer = await ask([text], SHORT);
      tokens = answer.promptTokens;
      first.push(answer.firstMs);
      const short = await ask([text], SHORT);
      const long = await ask([text], LONG);
      decode.push((long.totalMs - short.totalMs) / (LONG - SHORT));
    }
    points.push(print({ tokens, firstMs: middle(first), decodeMs: middle(decode) }));
  }
  return points;
}

/** @param {Ask} ask @param {readonly number[]} counts */
async function takeImages(ask, counts) {
  /** @type {Point[]} */
  const points = [];
  for (const images of counts) {
    /** @type {number[]} */
    const first = [];
    /** @type {number[]} */
    const second = [];
    let tokens = 0;
    for (let round = 0; round < rounds; round++) {
      // One turn for each, because a turn of the benchmark has one image. Only the last is asked.
      /** @type {Turn[]} */
      const turns = [];
      for (let image = 0; image < images; image++) {
        if (image > 0) turns.push({ role: 'assistant', text: 'A drawing.' });
        turns.push({ role: 'user', text: 'What is this?', image: imageNumber++ });
      }
      const answer = await ask(turns, 2);
      tokens = answer.promptTokens;
      first.push(answer.firstMs);
      turns.push({ role: 'assistant', text: answer.text }, { role: 'user', text: 'Which of them is the largest?' });
      second.push((await ask(turns, 1)).firstMs);
    }
    points.push(print({ images, tokens, firstMs: middle(first), secondMs: middle(second) }));
  }
  return points;
}

/** @param {Ask} ask @param {readonly number[]} counts in ascending order */
async function takeTurns(ask, counts) {
  /** @type {Turn[]} */
  const turns = [];
  /** @type {Point[]} */
  const points = [];
  for (let turn = 1; turn <= Math.max(...counts); turn++) {
    turns.push({ role: 'user', text: 'And?', ...(turn === 1 && { image: imageNumber++ }) });
    const answer = await ask(turns, 2);
    const { promptTokens: tokens, cachedTokens = NaN, firstMs, before, after } = answer;
    const visionRuns = (after.runs['vision'] ?? 0) - (before.runs['vision'] ?? 0);
    if (counts.includes(turn))
      points.push(print({ turns: turn, tokens, newTokens: tokens - cachedTokens, firstMs, visionRuns }));
    turns.push({ role: 'assistant', text: answer.text });
  }
  return points;
}

/** @param {readonly number[]} samples */
function middle(samples) {
  return median(samples) ?? NaN;
}

/** @param {Point} point */
function print(point) {
  console.log(JSON.stringify({ ...point, load: loadavg()[0] }));
  return point;
}

/** @returns {Curves[]} */
function read() {
  return existsSync(RESULTS) ? JSON.parse(readFileSync(RESULTS, 'utf8')) : [];
}

/** @param {Curves} curves */
function save(curves) {
  const all = read();
  /** @param {Curves} other */
  const isSame = ({ model, browser, device: on }) =>
    model === curves.model && browser === curves.browser && on === curves.device;
  const parts = { ...all.find(isSame)?.parts, ...curves.parts };
  const merged = [...all.filter((other) => !isSame(other)), { ...curves, parts }];
  writeFileSync(RESULTS, `${JSON.stringify(merged, null, 1)}\n`);
  draw(merged);
}

/** A chart for each model, with a line for each browser and device. @param {Curves[]} all */
function draw(all) {
  for (const id of new Set(all.map(({ model }) => model))) {
    const places = all.filter(({ model }) => model === id);
    /**
     * @param {string} label @param {string} part @param {string} x @param {string} y @param {number} [unit] how much of y
     *   the chart counts as one
     */
    const plot = (label, part, x, y, unit = 1) => ({
      label,
      axis: x,
      lines: places.map(({ browser, device: on, parts }) => ({
        name: `${browser}, ${on}`,
        points: (parts[part] ?? []).map((point) => ({ x: point[x] ?? NaN, y: (point[y] ?? NaN) / unit })),
      })),
    });
    const plots = [
      plot('s to the first token of a new text', 'contexts', 'tokens', 'firstMs', 1000),
      plot('ms for a decoded token behind it', 'contexts', 'tokens', 'decodeMs'),
      plot('s to the first token about new images', 'images', 'images', 'firstMs', 1000),
      plot('ms to the first token of the next turn', 'turns', 'turns', 'firstMs'),
    ];
    writeFileSync(`docs/curves-${id}.svg`, chart(`${id}: how times grow`, plots));
  }
}
