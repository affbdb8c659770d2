import { readFileSync, statSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { parseArgs } from 'node:util';

export const usage = `Usage: npm run ask -- IMAGE QUESTION [options]
  --browser chromium|firefox   default chromium
  --device auto|webgpu|wasm    default auto: wasm if there is only a software GPU
  --gpu software|hardware      the browser's WebGPU adapter; default software
  --model MODEL                glimpse (default), smolvlm-256m, a repository on Hugging Face's hub (org/name),
                               or a folder laid out as on the hub
  --base-url URL               where a downloaded model's files are instead of on the hub
  --max-tokens N               maximum length of the answer; default: what the context has left
  --json                       print one JSON object instead of the answer
  --no-setup                   install nothing: fail if packages or the browser are missing
  --help                       print this

A downloaded model is kept for the next run, in a browser profile in the cache folder.`;

/** The user asked for {@link usage}. */
export class HelpRequest extends Error {}

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
 * @property {string} model an id, an absolute path, or `org/name` on the hub
 * @property {string | undefined} baseURL ends in `/`
 * @property {number | undefined} maxTokens
 * @property {boolean} json
 * @property {boolean} setup whether missing packages and a missing browser are installed
 */

/**
 * @param {readonly string[]} args
 * @param {string} folder that relative paths start from
 * @returns {Command}
 */
export function readCommand(args, folder) {
  const { values, positionals } = parse(args);
  if (values.help) throw new HelpRequest(usage);
  const [path, question, ...rest] = positionals;
  if (path === undefined || !question?.trim()) throw new UsageError('An image and a question are needed.');
  if (rest.length > 0) throw new UsageError('Too many arguments: put the question in quotes.');
  const model = modelOf(values.model, folder);
  return {
    image: readImage(path, folder),
    question,
    browser: oneOf('browser', values.browser, /** @type {const} */ (['chromium', 'firefox'])),
    device: oneOf('device', values.device, /** @type {const} */ (['auto', 'webgpu', 'wasm'])),
    gpu: oneOf('gpu', values.gpu, /** @type {const} */ (['software', 'hardware'])),
    model,
    baseURL: folderURL(values['base-url'], model),
    maxTokens: countOf('max-tokens', values['max-tokens']),
    json: values.json,
    setup: !values['no-setup'],
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
        'base-url': { type: 'string' },
        json: { type: 'boolean', default: false },
        'no-setup': { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
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

/**
 * @param {string} path
 * @param {string} folder
 */
function readImage(path, folder) {
  if (/^([a-z][\w+.-]+:\/\/|data:)/i.test(path)) {
    throw new UsageError(`IMAGE is a file on this machine, not an address such as '${path.slice(0, 80)}'.`);
  }
  const file = resolve(folder, path);
  const found = statSync(file, { throwIfNoEntry: false });
  if (found?.isDirectory()) throw new UsageError(`${file} is a folder, not an image.`);
  if (!found?.isFile()) throw new UsageError(`There is no file ${file}.`);
  return readFileSync(file);
}

/**
 * @param {string | undefined} value
 * @param {string} model
 */
function folderURL(value, model) {
  if (value === undefined) return undefined;
  if (model === 'glimpse' || isAbsolute(model))
    throw new UsageError(`--base-url is for models that are downloaded; ${model} is here already.`);
  if (!URL.canParse(value) || !/^https?:/i.test(value)) {
    throw new UsageError(`--base-url is the http or https address of a folder, not '${value}'.`);
  }
  return value.replace(/\/?$/, '/');
}

/**
 * @param {string} name
 * @param {string} folder
 */
function modelOf(name, folder) {
  if (name === 'glimpse' || name === 'smolvlm-256m') return name;
  const path = resolve(folder, name);
  if (statSync(`${path}/config.json`, { throwIfNoEntry: false })?.isFile()) return path;
  if (/^[\w-][\w.-]*\/[\w-][\w.-]*$/.test(name) && !statSync(path, { throwIfNoEntry: false })) return name;
  throw new UsageError(
    `--model is glimpse, smolvlm-256m, org/name on the hub, or a folder with a config.json, not '${name}'.`,
  );
}
