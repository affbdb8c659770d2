/**
 * A model of Qwen3.5-0.8B's shapes with random weights in 4 bits, and its tiny twin. `fill.py` makes it from the twin and the
 * hub's config, which are in a folder outside this repository. The files have the sizes of those on the hub, but for a percent:
 * the decoder has a table of angles, as the twin has, and the vision encoder biases.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { shared } from '../../tools/standin.mjs';

const config = join(shared, 'models/catalogues/Qwen3.5-0.8B/config.json');

export const tinyFolder = join(shared, 'models/tiny/qwen3.5-tiny');
export const fullFolder = join(homedir(), '.cache/nearsight/qwen3.5-0.8b');

/** Where the training has its packages, onnx among them. */
const venv = join(homedir(), '.cache/nearsight/training/venv/bin/python');

/**
 * Makes what is missing.
 *
 * @param {boolean} tiny only the twin is needed
 * @returns {string} the folder
 */
export function fillQwen(tiny) {
  const missing = [tinyFolder, ...(tiny ? [] : [config])].find((path) => !existsSync(path));
  if (missing) throw new Error(`${missing} is not here: set NEARSIGHT_SHARED to the folder that has models/.`);
  if (tiny) return tinyFolder;
  // The last file that it writes.
  if (existsSync(join(fullFolder, 'onnx/decoder_model_merged_q4.onnx'))) return fullFolder;
  const python = process.env['PYTHON'] ?? (existsSync(venv) ? venv : 'python3');
  const script = fileURLToPath(new URL('fill.py', import.meta.url));
  try {
    execFileSync(python, [script, tinyFolder, config, fullFolder], { stdio: 'inherit' });
  } catch (cause) {
    throw new Error(`${python} could not make the model: PYTHON names one that has the packages onnx and numpy.`, {
      cause,
    });
  }
  return fullFolder;
}
