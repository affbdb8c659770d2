/**
 * Compares nearsight with transformers.js in the same browsers, and with a hand-written decode loop in Node on Dawn.
 * Prints one table for each environment, and writes `bench/results/<date>-<adapter>.json`.
 *
 *   npm run bench -- [--browser chromium|firefox|dawn] [--device webgpu|wasm] [--gpu hardware] [--no-dawn]
 *                    [--full | --full-only] [--rounds N] [--no-counts] [--no-images] [--only decode|own]
 *                    [--contexts 100,600] [--sides uncaptured,transformers.js]
 *
 * `--only` takes greedy decoding alone, or what needs no GPU; the side `uncaptured` is ours without captured steps, on WebGPU.
 * `--rounds 0` measures counts only, which do not depend on the machine; `--no-counts` measures times only. Results that
 * other runs of the same day wrote into the file are kept, except for what is measured again.
 *
 * `scenarios.mjs` defines the measures, `rows.mjs` the bars, `dawn/` the loop on Dawn. The model is glimpse; `--full`
 * adds the full-size stand-in for SmolVLM-256M if its files are on this machine, which takes many minutes on a software
 * GPU. Other load on the machine changes the times, but not the counts.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { arch, cpus, platform, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { chdir, execPath } from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { prepare } from '../tools/fresh.mjs';
import { lavapipeEnvironment } from '../tools/setup/lavapipe.mjs';
import { fillStandin, standinAvailable, standinFolder } from '../tools/standin.mjs';
import { markdown, rowsOf } from './rows.mjs';

/** @typedef {import('./browser.mjs').Run} Run */
/** @typedef {import('./browser.mjs').Outcome} Outcome */

chdir(fileURLToPath(new URL('..', import.meta.url)));

const { values } = parseArgs({
  options: {
    browser: { type: 'string' },
    device: { type: 'string' },
    full: { type: 'boolean', default: false },
    'full-only': { type: 'boolean', default: false },
    rounds: { type: 'string', default: '3' },
    gpu: { type: 'string', default: 'software' },
    'no-dawn': { type: 'boolean', default: false },
    'no-counts': { type: 'boolean', default: false },
    // At full size, a software GPU takes a minute for one crop.
    'no-images': { type: 'boolean', default: false },
    only: { type: 'string' },
    contexts: { type: 'string' },
    sides: { type: 'string' },
  },
});

/** @param {string} words */
const say = (words) => console.error(`bench: ${words}`);

prepare();
const rounds = Number(values.rounds);
const full = values.full || values['full-only'];
/** @type {Run['gpu']} */
const gpu = values.gpu === 'hardware' ? 'hardware' : 'software';
/** @type {Outcome[]} */
const outcomes = [];
for (const run of runs()) await take(run);
if (!values['no-dawn'] && (values.browser ?? 'dawn') === 'dawn' && values.device !== 'wasm') {
  if (!values['full-only']) takeDawn();
  if (full && standinAvailable) takeDawn('--model', standinFolder);
}
save();

/**
 * @typedef {Omit<Run, 'model'> & { folder: 'glimpse' | 'standin' }} PlannedRun
 *
 * @returns {PlannedRun[]}
 */
function runs() {
  const browsers = /** @type {const} */ (['chromium', 'firefox']).filter((name) => name === (values.browser ?? name));
  const devices = /** @type {const} */ (['webgpu', 'wasm']).filter((name) => name === (values.device ?? name));
  /** @type {'decode' | 'own' | undefined} */
  const only = values.only === 'decode' || values.only === 'own' ? values.only : undefined;
  const contexts = values.contexts?.split(',').map(Number);
  const common = {
    exact: !values['no-counts'],
    ...(values['no-images'] && { imageSides: [] }),
    only,
  };
  const small = { ...common, rounds, contexts: contexts ?? [100, 600], short: 8, long: 40, hold: 400, growth: true };
  const large = {
    ...common,
    rounds: Math.min(rounds, 3),
    contexts: contexts ?? [100],
    short: 4,
    long: 12,
    hold: 400,
    growth: false,
  };
  const sides = values.sides?.split(',');
  const places = browsers.flatMap((browser) => devices.map((device) => ({ browser, device, dtype: 'q4', gpu, sides })));
  /** @type {PlannedRun[]} */
  const glimpse = places.map((place) => ({ ...place, folder: 'glimpse', plan: small }));
  if (!full) return glimpse;
  if (!standinAvailable) {
    say('skipped: the full-size stand-in for SmolVLM-256M is not on this machine');
    return glimpse;
  }
  fillStandin('q4');
  return [
    ...(values['full-only'] ? [] : glimpse),
    ...places.map((place) => ({
      ...place,
      folder: /** @type {const} */ ('standin'),
      // A software GPU takes a minute for one crop, with validation or without.
      plan: place.device === 'webgpu' ? { imageSides: ['ours', 'transformers.js'], ...large } : large,
    })),
  ];
}

/** @param {PlannedRun} run */
async function take({ folder, ...run }) {
  // Imported here, after `prepare()` has installed the packages that these need.
  const [{ openSite }, { benchInBrowser }, { specOfFolder }] = await Promise.all([
    import('./site.mjs'),
    import('./browser.mjs'),
    import('../tools/ask/model.mjs'),
  ]);
  const site = await openSite();
  try {
    const files = folder === 'glimpse' ? 'models/glimpse' : standinFolder;
    const spec = await specOfFolder(files, `${site.origin}/models/${folder}/`);
    const endTokens = folder === 'glimpse' ? [1279] : [49279];
    const model = { id: folder === 'glimpse' ? 'glimpse' : 'SmolVLM-256M (random weights)', folder, spec, endTokens };
    say(`${model.id} in ${run.browser} on ${run.device}`);
    const outcome = await benchInBrowser({ ...run, model }, site.origin, say);
    outcomes.push(outcome);
    console.log(markdown(outcome));
    // The table is incomplete.
    if (Object.keys(outcome.failed).length > 0) process.exitCode = 1;
  } catch (error) {
    console.error(error);
    say(`${folder} in ${run.browser} on ${run.device} failed; the other runs continue`);
    process.exitCode = 1;
  } finally {
    await site.close();
  }
}

/** @param {string[]} args */
function takeDawn(...args) {
  const json = join(mkdtempSync(join(tmpdir(), 'nearsight-bench-')), 'dawn.json');
  const driver = gpu === 'software' ? lavapipeEnvironment() : {};
  say(`Dawn ${args.join(' ')}`);
  const { rounds: count, only, contexts } = values;
  const sides = values.sides?.split(',').filter((side) => ['uncaptured', 'classic'].includes(side));
  for (const [name, value] of Object.entries({ rounds: count, json, only, contexts, sides: sides?.join(',') }))
    if (value !== undefined) args.push(`--${name}`, value);
  // A separate process, because the environment selects the Vulkan driver.
  const { status } = spawnSync(execPath, ['bench/dawn/main.mjs', ...args], {
    stdio: 'inherit',
    env: { ...process.env, ...driver },
  });
  if (status === 0) outcomes.push(JSON.parse(readFileSync(json, 'utf8')));
  else process.exitCode = 1;
  rmSync(dirname(json), { recursive: true });
}

function save() {
  if (outcomes.length === 0) return;
  const adapter = gpu === 'hardware' ? (outcomes[0]?.facts['ours']?.hardware ?? gpu) : 'software';
  const date = new Date().toISOString().slice(0, 10);
  const file = `bench/results/${date}-${adapter.replaceAll(/[^\w.-]+/g, '-')}.json`;
  const machine = { platform: platform(), arch: arch(), cores: cpus().length, cpu: cpus()[0]?.model };
  /** @type {Outcome[]} */
  const before = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).places : [];
  /** @param {Outcome} one @param {Outcome} other */
  const same = (one, other) => one.where === other.where && one.model === other.model;
  const merged = outcomes.map((outcome) => {
    const known = before.find((other) => same(other, outcome));
    const sides = Object.keys({ ...known?.samples, ...outcome.samples });
    const samples = sides.map((side) => [side, { ...known?.samples[side], ...outcome.samples[side] }]);
    const facts = { ...known?.facts, ...outcome.facts };
    const lengths = { ...known?.lengths, ...outcome.lengths };
    // A run of counts only has no load: the kept times keep theirs.
    const { load = known?.load } = outcome;
    return { ...outcome, load, facts, lengths, samples: Object.fromEntries(samples) };
  });
  const others = before.filter((other) => !merged.some((outcome) => same(other, outcome)));
  const places = [...others, ...merged].map((outcome) => ({ ...outcome, rows: rowsOf(outcome) }));
  mkdirSync('bench/results', { recursive: true });
  writeFileSync(file, `${JSON.stringify({ date, machine, places }, null, 1)}\n`);
  say(`written to ${file}`);
}
