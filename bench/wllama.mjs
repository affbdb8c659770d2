/**
 * Ours beside llama.cpp as wllama runs it, on wasm in Chromium: SmolVLM-256M's shapes with random weights, each side in a browser
 * of its own, in turn within a round. `gguf/smolvlm.mjs` says what the other sides' files are: their 4 bits stay 4 bits in memory,
 * ours are dequantized at load, but for side ours_4bits, which is told of a device with little memory.
 *
 *   node bench/wllama.mjs [--rows decode,prompts,images,start] [--sides ours,ours_4bits,q8_0,q4_0] [--rounds N] [--contexts 100,900]
 *                         [--prompts 503,1899] [--threads N]
 *
 * - **decode**: milliseconds a token, as the difference of answers of 44 and of 4 tokens to one prompt, which is in the cache.
 * - **prompts**: to the first token of a new text of so many tokens.
 * - **images**: to the first token about a new 640x480 image, and of a second question about it. Side q8_0 has one crop, as ours;
 *   q4_0 has the two that llama.cpp makes at least for this model.
 * - **start**: from the call that loads until the model is ready, at a first visit (files from a server on this machine) and at a
 *   second one; memory of the renderer (`renderer-memory.mjs`) when it is ready, and after a text of 503 tokens and an image.
 *
 * Prints each sample, and the medians of all samples of this day, which are kept in `bench/results/<date>-wllama.json`. A round
 * of all rows takes some seven minutes on two cores.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { fillGguf } from './gguf/smolvlm.mjs';
import { openModelSite } from './one-model.mjs';
import { renderersOf, residentBytes } from './renderer-memory.mjs';
import { median } from './rows.mjs';

/**
 * @typedef {import('./page/side.ts').Question} Question
 * @typedef {Awaited<ReturnType<Awaited<ReturnType<typeof openModelSite>>['openPage']>>} Opened
 */

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: 'decode,prompts,images,start' },
    sides: { type: 'string', default: 'ours,q8_0,q4_0' },
    rounds: { type: 'string', default: '1' },
    contexts: { type: 'string', default: '100,900' },
    prompts: { type: 'string', default: '503,1899' },
    threads: { type: 'string', default: String(availableParallelism()) },
  },
});

const SHORT = 4;
const LONG = 44;
/** Garbage is collected some time after a page has loaded. */
const SETTLE_MS = 3000;
/** A device that says so keeps 4-bit weights. */
const FEW_GIGABYTES = 2;

/** @type {Record<string, import('./page/side.ts').GgufFiles>} */
const FILES = {
  q8_0: { text: 'text-q8_0.gguf', mmproj: 'mmproj-gemma3.gguf' },
  q4_0: { text: 'text-q4_0.gguf', mmproj: 'mmproj-idefics3.gguf' },
};

const sides = values.sides.split(',');
const rows = values.rows.split(',');
const rounds = Number(values.rounds);
const file = `bench/results/${new Date().toISOString().slice(0, 10)}-wllama.json`;

/** The last number of a new text or image. */
let number = 0;

const { site, model, openPage } = await openModelSite(true);
fillGguf();
/** Samples by measure and side. @type {Record<string, Record<string, number[]>>} */
const samples = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
try {
  if (rows.some((row) => row !== 'start')) await measureAnswers();
  if (rows.includes('start')) for (let round = 0; round < rounds; round++) await measureStarts();
} finally {
  await site.close();
}
for (const [measure, bySide] of Object.entries(samples)) {
  const medians = Object.entries(bySide).map(([side, all]) => [side, median(all)]);
  console.log(JSON.stringify({ measure, ...Object.fromEntries(medians) }));
}

/** @param {string} measure @param {string} side @param {number} value */
function note(measure, side, value) {
  const bySide = (samples[measure] ??= {});
  (bySide[side] ??= []).push(Math.round(value * 100) / 100);
  console.error(JSON.stringify({ measure, side, value, load: loadavg()[0] }));
  writeFileSync(file, `${JSON.stringify(samples, null, 1)}\n`);
}

/** Opens a side, and gives how long that took. @param {string} side @param {string} [profile] */
async function open(side, profile) {
  const files = FILES[side];
  const opened = await openPage('chromium', {
    counted: files === undefined,
    gigabytes: side === 'ours_4bits' ? FEW_GIGABYTES : undefined,
    ...(profile !== undefined && { profile }),
  });
  const { page } = opened;
  if (files)
    return {
      ...opened,
      ms: await page.evaluate((...args) => bench.openWllama(...args), files, Number(values.threads)),
    };
  /** @type {import('./page/side.ts').Opening} */
  const opening = { model, device: 'wasm', dtype: 'q4' };
  const { from, to } = await page.evaluate((...args) => bench.start(...args), /** @type {const} */ ('ours'), opening);
  return { ...opened, ms: to - from };
}

/** @param {Opened} opened @param {string} side @param {Question['turns']} turns @param {number} tokens */
function ask({ page }, side, turns, tokens) {
  const name = FILES[side] ? 'wllama' : 'ours';
  return page.evaluate((...args) => bench.time(...args), name, { turns, tokens });
}

/** A new text of so many fillers. @param {number} fillers @returns {Question['turns']} */
function textOf(fillers) {
  // As many tokens whatever the number.
  return [
    { role: 'user', text: `${String(++number).padStart(3, '0')}: what is this?${' and then a dog'.repeat(fillers)}` },
  ];
}

async function measureAnswers() {
  /** @type {Map<string, Opened>} */
  const all = new Map();
  try {
    for (const side of sides) all.set(side, await open(side));
    /** How many fillers make a prompt of so many tokens: the same texts have as many on all sides. */
    const fillersOf = await calibrate(all);
    for (let round = 0; round < rounds; round++) {
      if (rows.includes('decode'))
        for (const context of numbers(values.contexts)) await measureDecode(all, context, fillersOf(context));
      if (rows.includes('prompts'))
        for (const tokens of numbers(values.prompts)) await measurePrompt(all, tokens, fillersOf(tokens));
      if (rows.includes('images')) await measureImage(all);
    }
  } finally {
    for (const { browser } of all.values()) await browser.close();
  }
}

/** @param {string} list */
function numbers(list) {
  return list.split(',').map(Number);
}

/** @param {ReadonlyMap<string, Opened>} all */
async function calibrate(all) {
  const [[side, opened] = []] = all;
  if (!side || !opened) throw new Error('--sides names none');
  const lengthOf = async (/** @type {number} */ fillers) => (await ask(opened, side, textOf(fillers), 1)).promptTokens;
  const [ten, thirty] = [await lengthOf(10), await lengthOf(30)];
  return (/** @type {number} */ tokens) => Math.max(0, Math.round(((tokens - ten) * 20) / (thirty - ten)) + 10);
}

/** @param {ReadonlyMap<string, Opened>} all @param {number} context @param {number} fillers */
async function measureDecode(all, context, fillers) {
  const turns = textOf(fillers);
  for (const [side, opened] of all) {
    // Reads the prompt.
    await ask(opened, side, turns, SHORT);
    const long = await ask(opened, side, turns, LONG);
    const short = await ask(opened, side, turns, SHORT);
    note(`decode behind ${context}, ms`, side, (long.totalMs - short.totalMs) / (LONG - SHORT));
  }
}

/** @param {ReadonlyMap<string, Opened>} all @param {number} tokens @param {number} fillers */
async function measurePrompt(all, tokens, fillers) {
  const turns = textOf(fillers);
  for (const [side, opened] of all) {
    const { firstMs, promptTokens } = await ask(opened, side, turns, 1);
    if (Math.abs(promptTokens - tokens) > 40) throw new Error(`${promptTokens} tokens instead of ${tokens}`);
    note(`${tokens} new tokens, ms`, side, firstMs);
  }
}

/** @param {ReadonlyMap<string, Opened>} all */
async function measureImage(all) {
  const image = ++number;
  for (const [side, opened] of all) {
    /** @type {Question['turns']} */
    const turns = [{ role: 'user', text: 'What is this?', image }];
    const answer = await ask(opened, side, turns, 5);
    note('new image, ms', side, answer.firstMs);
    const next = [
      ...turns,
      { role: /** @type {const} */ ('assistant'), text: answer.text },
      { role: /** @type {const} */ ('user'), text: 'And what is next to it?' },
    ];
    note('second question about it, ms', side, (await ask(opened, side, next, 1)).firstMs);
  }
}

async function measureStarts() {
  for (const side of sides) {
    const profile = mkdtempSync(join(tmpdir(), 'nearsight-wllama-'));
    try {
      const first = await open(side, profile);
      note('ready, first visit, ms', side, first.ms);
      await first.browser.close();
      const second = await open(side, profile);
      note('ready, second visit, ms', side, second.ms);
      await noteMemory('ready', side, second);
      await ask(second, side, textOf(125), 1);
      await ask(second, side, [{ role: 'user', text: 'What is this?', image: ++number }], 1);
      await noteMemory('after use', side, second);
      await second.browser.close();
    } finally {
      rmSync(profile, { recursive: true, force: true });
    }
  }
}

/** @param {string} when @param {string} side @param {Opened} opened */
async function noteMemory(when, side, { browser }) {
  await delay(SETTLE_MS);
  const sizes = (await renderersOf(browser)).map((id) => residentBytes(id, ['Anon', 'Shmem', 'File']));
  note(`memory of the renderer, ${when}, MB`, side, Math.max(...sizes) / 1e6);
}
