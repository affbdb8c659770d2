/**
 * The full-size stand-in for SmolVLM-256M: its real configs, tokenizer and graphs, filled with random weights. It comes
 * from a folder that is not part of this repository; tests that need it skip where it is absent.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const shared = process.env['NEARSIGHT_SHARED'] ?? fileURLToPath(new URL('../../shared', import.meta.url));
/** Its graphs without weights, its configs, and the script that fills them. */
export const standinSource = join(shared, 'models/SmolVLM-256M-Instruct');

/** Where it is kept once filled, laid out as on the hub. */
export const standinFolder = join(homedir(), '.cache/nearsight/standin');

/** Whether it can be made here. */
export const standinAvailable = existsSync(standinSource);

/**
 * Fills its graphs with this kind of weights, the first time.
 *
 * @param {'q4'} dtype
 */
export function fillStandin(dtype) {
  const names = ['vision_encoder', 'embed_tokens', 'decoder_model_merged'].map((name) => `${name}_${dtype}`);
  if (names.every((name) => existsSync(standinFile(name)))) return;
  execFileSync(process.execPath, [join(standinSource, 'fill.mjs'), standinFolder, '--only', names.join(',')]);
}

/**
 * Where a graph is, once it has been filled.
 *
 * @param {string} name without its extension
 */
export function standinFile(name) {
  return join(standinFolder, 'onnx', `${name}.onnx`);
}
