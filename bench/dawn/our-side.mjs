/** The built package in Node on Dawn: a model from a folder, opened with captured steps or without. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { specOfFolder } from '../../tools/ask/model.mjs';
import { timedOrt } from '../../tools/counters/timed-ort.mjs';
import { encodePng } from './png.mjs';

export const root = fileURLToPath(new URL('../../', import.meta.url));

/**
 * @param {string | undefined} path default: glimpse
 */
export async function readModel(path) {
  const folder = path ? resolve(path) : join(root, 'dist/glimpse');
  /** @param {string} name */
  const read = (name) => JSON.parse(readFileSync(join(folder, name), 'utf8'));
  const config = read('config.json');
  const glimpse = config.vocab_size < 10_000;
  const spec = await specOfFolder(folder, `${pathToFileURL(folder).href}/`);
  // The end token of the text config is wrong.
  const endTokens = [read('generation_config.json').eos_token_id].flat();
  return { id: glimpse ? 'glimpse' : 'SmolVLM-256M (random weights)', folder, spec, endTokens, config, glimpse };
}

/**
 * Opens our side. The browser's globals must be there, and what `tools/counters/patch.mjs` leaves.
 *
 * @param {Awaited<ReturnType<typeof readModel>>} model
 * @param {boolean} capture
 * @param {import('../../tools/counters.mjs').CountedWorker} worker
 */
export async function openOurSide(model, capture, worker) {
  const { openOurs } = await import('../ours.mjs');
  const ort = timedFolder(capture);
  try {
    const assets = `${pathToFileURL(ort).href}/`;
    const side = await openOurs({ model, device: 'webgpu', dtype: 'q4' }, image, () => worker, assets);
    const captured = !/steps are not captured/.test(side.facts.reason ?? '');
    if (captured !== capture) throw new Error(`Steps are ${captured ? '' : 'not '}captured: ${side.facts.reason}`);
    return side;
  } finally {
    rmSync(ort, { recursive: true });
  }
}

/** @param {number} number */
async function image(number) {
  const file = encodePng(
    640,
    480,
    (x, y, channel) => (x * (number + channel) + y * 7 + ((x >> 5) ^ (y >> 5)) * 31) & 255,
  );
  return { dataUrl: `data:image/png;base64,${file.toString('base64')}` };
}

/**
 * A folder with ONNX Runtime's files, and the wrapper that records when each graph runs. Each has an instance of its own.
 *
 * @param {boolean} capture
 */
function timedFolder(capture) {
  const temporary = mkdtempSync(join(tmpdir(), 'nearsight-bench-'));
  const real = join(root, 'dist/ort');
  const name = 'ort-wasm-simd-threaded.asyncify';
  // A copy: Node gives a linked script the URL of the real one, under which the worker would not look for its module.
  copyFileSync(join(real, `${name}.mjs`), join(temporary, `${name}.mjs`));
  symlinkSync(join(real, `${name}.wasm`), join(temporary, `${name}.wasm`));
  const script = `${pathToFileURL(join(real, 'ort.webgpu.min.mjs')).href}?${capture ? 'captured' : 'uncaptured'}`;
  writeFileSync(join(temporary, 'ort.webgpu.min.mjs'), timedOrt(script, capture));
  return temporary;
}
