/** Runs the scenarios in one browser, with one model on one device. */
import { loadavg } from 'node:os';
import { launchBrowser } from '../tools/browser.mjs';
import { installCounters } from '../tools/counters.mjs';
import { Scenarios } from './scenarios.mjs';

/** @typedef {import('./page/side.ts').Opening} Opening */
/** @typedef {import('./page/side.ts').Facts} Facts */

/**
 * @typedef {object} Run
 * @property {'chromium' | 'firefox'} browser
 * @property {Opening['device']} device
 * @property {Opening['model']} model
 * @property {string} dtype
 * @property {'software' | 'hardware'} gpu
 * @property {readonly string[] | undefined} [sides] beside ours; default: transformers.js's
 * @property {Omit<import('./scenarios.mjs').Plan, 'sides' | 'gpu'>} plan
 * @property {Partial<Opening>} [one] whether transformers.js is one side only, with this: with our threads on wasm, without
 *   validation on WebGPU
 *
 * @typedef {object} Outcome
 * @property {string} where
 * @property {string} version of the browser
 * @property {string} model
 * @property {number[] | undefined} load of the machine before times were taken: `os.loadavg()`
 * @property {Record<string, Facts>} facts by side
 * @property {Record<string, string>} failed the error of each side that could not be opened
 * @property {import('./scenarios.mjs').Samples} samples
 * @property {Record<string, number>} lengths
 */

/**
 * The other sides: transformers.js with its defaults, and with the one setting that helps it most here; ours without captured
 * steps only if asked for.
 *
 * @param {Run} run
 * @param {Facts} ours
 * @param {string} origin
 * @returns {Record<string, Partial<Opening>>}
 */
function others({ device, sides, one }, ours, origin) {
  const best = device === 'webgpu' ? { unvalidated: true } : { threads: ours.threads };
  if (one) return { 'transformers.js': { ...best, ...one } };
  /** @type {Record<string, Partial<Opening>>} */
  const peers = { 'transformers.js': {}, [device === 'webgpu' ? 'without validation' : 'with our threads']: best };
  if (!sides) return peers;
  const all = { ...peers, ...(device === 'webgpu' && { uncaptured: { ort: `${origin}/uncaptured-ort/` } }) };
  return Object.fromEntries(Object.entries(all).filter(([side]) => sides.includes(side)));
}

/** @param {Facts} ours */
function isCaptured({ device, reason = '' }) {
  return device === 'webgpu' && !reason.includes('steps are not captured');
}

/**
 * @param {Run} run
 * @param {string} origin of the bench's site
 * @param {(words: string) => void} say
 * @returns {Promise<Outcome>}
 */
export async function benchInBrowser(run, origin, say) {
  const { browser: name, device, model, dtype, plan } = run;
  const load = plan.rounds > 0 ? loadavg() : undefined;
  const browser = await launchBrowser(name, { gpu: run.gpu, protocolTimeout: 0 });
  try {
    const page = await browser.newPage();
    page.on('pageerror', (error) => say(String(error)));
    await page.evaluateOnNewDocument(installCounters);
    await page.goto(`${origin}/`);
    await page.waitForFunction(() => 'bench' in globalThis);
    /** @param {string} side @param {'ours' | 'theirs'} kind @param {Partial<Opening>} [extra] */
    const open = (side, kind, extra) =>
      page.evaluate((...args) => bench.open(...args), side, kind, { model, device, dtype, ...extra });
    const ours = await open('ours', 'ours');
    if (run.sides?.includes('uncaptured') && !isCaptured(ours)) throw new Error(`nothing to compare: ${ours.reason}`);
    /** @type {Record<string, Facts>} */
    const facts = { ours };
    /** @type {Record<string, string>} */
    const failed = {};
    for (const [side, extra] of Object.entries(others(run, ours, origin))) {
      try {
        const opened = await open(side, side === 'uncaptured' ? 'ours' : 'theirs', extra);
        // Else it would be the same side twice.
        if (side === 'uncaptured' && isCaptured(opened)) throw new Error('its steps are captured');
        facts[side] = opened;
      } catch (error) {
        failed[side] = String(error);
        say(`${side} is left out: ${failed[side]}`);
      }
    }
    const scenarios = new Scenarios(
      {
        ask: (side, question) => page.evaluate((...args) => bench.ask(...args), side, question),
        hold: (side, ms) => page.evaluate((...args) => bench.hold(...args), side, ms),
        idle: (side, on) => page.evaluate((...args) => bench.idle(...args), side, on),
        growth: (side, question) => page.evaluate((...args) => bench.growth(...args), side, question),
        say,
      },
      { ...plan, sides: Object.keys(facts), gpu: device === 'webgpu' },
    );
    await scenarios.run();
    const { samples, lengths } = scenarios;
    const where = `${name}, ${device}`;
    return { where, version: await browser.version(), model: model.id, load, facts, failed, samples, lengths };
  } finally {
    await browser.close();
  }
}
