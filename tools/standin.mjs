/**
 * The full-size stand-in for SmolVLM-256M: its real configs, tokenizer and graphs with random weights. It comes from a
 * folder outside this repository; tests that need it are skipped if it is absent.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A folder outside the repository, with models that are not in it. */
export const shared = process.env['NEARSIGHT_SHARED'] ?? fileURLToPath(new URL('../../shared', import.meta.url));

/** The graphs without weights, the configs, and the script that generates the weights. */
export const standinSource = join(shared, 'models/SmolVLM-256M-Instruct');

/** The folder with weights, laid out as on the hub. */
export const standinFolder = join(homedir(), '.cache/nearsight/standin');

/** Whether its source is on this machine. */
export const standinAvailable = existsSync(standinSource);

/**
 * Generates the weights of a dtype, unless they exist.
 *
 * @param {'q4'} dtype
 */
export function fillStandin(dtype) {
  const names = ['vision_encoder', 'embed_tokens', 'decoder_model_merged'].map((name) => `${name}_${dtype}`);
  if (names.every((name) => existsSync(standinFile(name)))) return;
  execFileSync(process.execPath, [join(standinSource, 'fill.mjs'), standinFolder, '--only', names.join(',')]);
}

/**
 * The path of a graph with weights.
 *
 * @param {string} name without its extension
 */
export function standinFile(name) {
  return join(standinFolder, 'onnx', `${name}.onnx`);
}
