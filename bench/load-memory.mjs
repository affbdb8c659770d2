/**
 * How much memory a page takes while it loads the full-size stand-in for SmolVLM-256M (q4) from what it has stored, in
 * Chromium: the peak of RssAnon + RssShmem of the renderer's process, every 20 ms, above a page that has loaded
 * onnxruntime and a graph of one node. transformers.js loads the same files, from its own cache. Linux only.
 *
 *   node bench/load-memory.mjs [--device webgpu|wasm] [--side ours|theirs] [--rounds N]
 *
 * Each measurement is made in a browser of its own, which keeps the profile of the visit that stored the model. Memory of
 * the GPU is not counted: it belongs to another process. Other load on the machine changes times, and hardly the peak.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { chdir } from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { prepare } from '../tools/fresh.mjs';
import { fillStandin, standinAvailable, standinFolder } from '../tools/standin.mjs';
import { renderersOf, residentBytes } from './renderer-memory.mjs';

/** @typedef {import('./page/side.ts').Opening} Opening */
/** @typedef {'ours' | 'theirs'} Kind */

chdir(fileURLToPath(new URL('..', import.meta.url)));

const { values } = parseArgs({
  options: {
    device: { type: 'string', default: 'webgpu' },
    side: { type: 'string' },
    rounds: { type: 'string', default: '1' },
  },
});
/** @type {Opening['device']} */
const device = values.device === 'wasm' ? 'wasm' : 'webgpu';

/** @param {string} words */
const say = (words) => console.error(`bench: ${words}`);

const EVERY_MS = 20;
/** How long a page is watched after it has loaded: garbage is collected some time later. */
const SETTLE_MS = 3000;

if (!standinAvailable) throw new Error('The full-size stand-in for SmolVLM-256M is not on this machine.');
prepare();
fillStandin('q4');
// Imported here, after `prepare()` has installed the packages that these need.
const [{ openSite }, { launchBrowser }, { installCounters }, { specOfFolder }] = await Promise.all([
  import('./site.mjs'),
  import('../tools/browser.mjs'),
  import('../tools/counters.mjs'),
  import('../tools/ask/model.mjs'),
]);

const site = await openSite();
try {
  const spec = await specOfFolder(standinFolder, `${site.origin}/models/standin/`);
  /** @type {Opening} */
  const opening = { model: { id: spec.id, folder: 'standin', spec, endTokens: [] }, device, dtype: 'q4', cached: true };
  for (const kind of /** @type {const} */ (['ours', 'theirs'])) {
    if ((values.side ?? kind) !== kind) continue;
    const profile = mkdtempSync(join(tmpdir(), 'nearsight-memory-'));
    try {
      await measure(kind, opening, profile);
    } finally {
      rmSync(profile, { recursive: true, force: true });
    }
  }
} finally {
  await site.close();
}

/**
 * @param {Kind} kind
 * @param {Opening} opening
 * @param {string} profile
 */
async function measure(kind, opening, profile) {
  say(`${kind}: storing the model`);
  // On wasm, which takes the same files and less time on a software GPU.
  const first = { ...opening, device: /** @type {const} */ ('wasm') };
  await visit(profile, (page) => page.evaluate((...args) => bench.open(...args), kind, kind, first));
  for (let round = 0; round < Number(values.rounds); round++) {
    say(`${kind}: round ${round + 1}`);
    const base = await visit(profile, (page) =>
      page.evaluate((...args) => bench.loadOrt(...args), ortFiles(kind), device),
    );
    const load = await visit(profile, (page) => page.evaluate((...args) => bench.open(...args), kind, kind, opening));
    const above = { peak: load.peak - base.settled, settled: load.settled - base.settled };
    console.log(JSON.stringify({ kind, device, mb: mb(above), base: mb(base), load: mb(load), machine: loadavg()[0] }));
  }
}

/** @param {Record<string, number>} sizes in bytes, `ms` aside */
function mb(sizes) {
  return Object.fromEntries(
    Object.entries(sizes).map(([name, size]) => [name, name === 'ms' ? Math.round(size) : Math.round(size / 1e5) / 10]),
  );
}

/** @param {Kind} kind */
function ortFiles(kind) {
  const [folder, script, build] =
    kind === 'theirs'
      ? ['transformers-ort', 'ort.webgpu.min.mjs', 'asyncify']
      : device === 'wasm'
        ? ['ort', 'ort.wasm.min.mjs', '']
        : ['ort', 'ort.jspi.min.mjs', 'jspi'];
  const glue = `${site.origin}/${folder}/ort-wasm-simd-threaded${build && `.${build}`}`;
  // The server wraps the script without `real`.
  return { script: `${site.origin}/${folder}/${script}?real`, mjs: `${glue}.mjs`, wasm: `${glue}.wasm` };
}

/**
 * Opens a page in a browser of its own, and watches the memory of the browser's renderers meanwhile.
 *
 * @param {string} profile
 * @param {(page: Awaited<ReturnType<Awaited<ReturnType<typeof launchBrowser>>['newPage']>>) => Promise<unknown>} work
 * @returns {Promise<{ peak: number, settled: number, ms: number }>} bytes of the largest renderer: at its peak, and at
 *   the end
 */
async function visit(profile, work) {
  const browser = await launchBrowser('chromium', { flags: [`--user-data-dir=${profile}`], protocolTimeout: 0 });
  try {
    const page = await browser.newPage();
    page.on('pageerror', (error) => say(String(error)));
    await page.evaluateOnNewDocument(installCounters);
    await page.goto(`${site.origin}/`);
    await page.waitForFunction(() => 'bench' in globalThis);
    const renderers = await renderersOf(browser);
    /** @type {Map<number, { peak: number, settled: number }>} */
    const watched = new Map(renderers.map((id) => [id, { peak: 0, settled: 0 }]));
    const timer = setInterval(() => {
      for (const [id, seen] of watched) {
        seen.settled = residentBytes(id, ['Anon', 'Shmem']);
        seen.peak = Math.max(seen.peak, seen.settled);
      }
    }, EVERY_MS);
    const started = performance.now();
    await work(page);
    const ms = performance.now() - started;
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    clearInterval(timer);
    const [largest] = [...watched.values()].sort((one, other) => other.peak - one.peak);
    if (!largest) throw new Error('the browser has no renderer');
    return { ...largest, ms };
  } finally {
    await browser.close();
  }
}
