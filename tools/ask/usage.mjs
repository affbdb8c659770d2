import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

export const usage = `Usage: npm run ask -- IMAGE QUESTION [options]
  --browser chromium|firefox   default chromium
  --device auto|webgpu|wasm    default auto: wasm if there is only a software GPU
  --gpu software|hardware      the browser's WebGPU adapter; default software
  --model MODEL                glimpse (default), smolvlm-256m, or a folder laid out as on the hub
  --max-tokens N               maximum length of the answer; default: what the context has left
  --json                       print one JSON object instead of the answer`;

/** The arguments are wrong, as the message says. Nothing was started. */
export class UsageError extends Error {
  /** @override */
  name = 'UsageError';
}

/**
 * @typedef {object} Command
 * @property {Buffer<ArrayBuffer>} image the file's bytes, which only the library checks
 * @property {string} question
 * @property {'chromium' | 'firefox'} browser
 * @property {'auto' | 'webgpu' | 'wasm'} device
 * @property {'software' | 'hardware'} gpu
 * @property {string} model an id, or an absolute path
 * @property {number | undefined} maxTokens
 * @property {boolean} json
 */

/**
 * @param {readonly string[]} args
 * @param {string} folder that relative paths start from
 * @returns {Command}
 */
export function readCommand(args, folder) {
  const { values, positionals } = parse(args);
  const [path, question, ...rest] = positionals;
  if (path === undefined || !question?.trim()) throw new UsageError('An image and a question are needed.');
  if (rest.length > 0) throw new UsageError('Too many arguments: put the question in quotes.');
  return {
    image: readImage(resolve(folder, path)),
    question,
    browser: oneOf('browser', values.browser, /** @type {const} */ (['chromium', 'firefox'])),
    device: oneOf('device', values.device, /** @type {const} */ (['auto', 'webgpu', 'wasm'])),
    gpu: oneOf('gpu', values.gpu, /** @type {const} */ (['software', 'hardware'])),
    model: modelOf(values.model, folder),
    maxTokens: countOf('max-tokens', values['max-tokens']),
    json: values.json,
  };
}

/** @param {readonly string[]} args */
function parse(args) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        browser: { type: 'string', default: 'chromium' },
        device: { type: 'string', default: 'auto' },
        gpu: { type: 'string', default: 'software' },
        model: { type: 'string', default: 'glimpse' },
        'max-tokens': { type: 'string' },
        json: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/**
 * @template {string} T
 * @param {string} option
 * @param {string} value
 * @param {readonly T[]} allowed
 * @returns {T}
 */
function oneOf(option, value, allowed) {
  const found = allowed.find((choice) => choice === value);
  if (found === undefined) throw new UsageError(`--${option} is one of ${allowed.join(', ')}, not '${value}'.`);
  return found;
}

/**
 * @param {string} option
 * @param {string | undefined} value
 */
function countOf(option, value) {
  if (value === undefined) return undefined;
  if (!/^[1-9]\d{0,5}$/.test(value)) throw new UsageError(`--${option} is a number from 1 on, not '${value}'.`);
  return Number(value);
}

/** @param {string} file */
function readImage(file) {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found?.isDirectory()) throw new UsageError(`${file} is a folder, not an image.`);
  if (!found?.isFile()) throw new UsageError(`There is no file ${file}.`);
  return readFileSync(file);
}

/**
 * @param {string} name
 * @param {string} folder
 */
function modelOf(name, folder) {
  if (name === 'glimpse' || name === 'smolvlm-256m') return name;
  const path = resolve(folder, name);
  if (statSync(`${path}/config.json`, { throwIfNoEntry: false })?.isFile()) return path;
  throw new UsageError(`--model is glimpse, smolvlm-256m, or a folder with a config.json, not '${name}'.`);
}
