import { className } from '../bytes/class-name.ts';
import { isPageScheme } from '../bytes/page-url.ts';
import {
  array,
  boolean,
  integer,
  isObject,
  mustBe,
  number,
  oneOf,
  quoted,
  string,
  type Check,
} from '../openai/field-checks.ts';
import { address, call, within } from '../openai/option-checks.ts';
import type { JSONSchema } from '../openai/types.ts';
import { fetchOptionChecks, type FetchOptions } from '../fetch/fetch-options.ts';
import type { StatusValue } from '../host/status.ts';
import type { HubModel, ModelSpec } from '../protocol/model-spec.ts';
import { checkModel, idOf } from './check-spec.ts';
import { reading, toPlain } from './plain-data.ts';

const DEVICES = ['auto', 'webgpu', 'wasm'] as const;

/** What `createNearsight` takes. Only `model` is required. */
export interface NearsightOptions extends FetchOptions {
  /**
   * A known id (`smolvlm-256m`), a spec (`import { glimpse } from 'nearsight/glimpse'`, or your own), or a repository on the
   * hub: `{ hub: 'org/name' }`.
   */
  model: string | ModelSpec | HubModel;
  /**
   * Where the model runs. `auto` takes WebGPU on a hardware adapter, else wasm if the spec says `wasm: 'ok'`. A
   * software GPU is used only for `device: 'webgpu'`.
   * @defaultValue 'auto'
   */
  device?: 'auto' | 'webgpu' | 'wasm';
  /**
   * Origins or URL prefixes that `fetch` answers for; requests elsewhere are passed on untouched.
   * @defaultValue NIM's two servers, `https://integrate.api.nvidia.com` and `https://ai.api.nvidia.com`
   */
  intercept?: readonly (string | URL)[];
  /**
   * Where the package's own files are: the address of the folder that `npx nearsight assets FOLDER` wrote, or single
   * addresses. With it, no bundler needs to find them.
   * @defaultValue where the bundler, or the package itself, has what `new URL()` with `import.meta.url` names
   */
  assets?: string | URL | AssetOptions;
  /** Those left out keep their defaults. */
  limits?: Partial<Limits>;
}

/** Addresses of files of the package, each with its own default. */
export interface AssetOptions {
  /**
   * `worker.js`, with the scripts that it fetches beside it: `store.js`, `grammar.js`, `group-queries.js`, `wasm-passes.js`,
   * `transformers.js`. Must be on the page's own origin.
   * @defaultValue where the bundler put it
   */
  worker?: string | URL;
  /**
   * The folder that holds the package's `ort/`: `ort.{jspi,webgpu,wasm}.min.mjs` and `ort-wasm-simd-threaded*.{mjs,wasm}`.
   * @defaultValue `ort/` beside the worker
   */
  ort?: string | URL;
  /** The folder that holds the files of `glimpse`. @defaultValue where the bundler put them */
  glimpse?: string | URL;
}

/** Limits above which requests are refused. */
export interface Limits {
  /** Requests that may wait while one runs; one more is answered 429. @defaultValue 16 */
  waiting: number;
  /** Bytes of a request body; a larger one is answered 413. @defaultValue 26_214_400 (25 MiB, as hosted NIM) */
  requestBytes: number;
  /** Bytes of one image's file. @defaultValue 20_971_520 (20 MiB) */
  imageBytes: number;
  /** Width times height of one image, checked before it is decoded. @defaultValue 50_000_000 */
  pixels: number;
  /** Images in one request, over all turns. @defaultValue 16 */
  images: number;
}

/** An image as `ask` takes it: its file, or a URL, relative to the page. */
export type ImageInput = Blob | BufferSource | string | URL;

/** How `ask` answers. */
export interface AskOptions {
  /** How many tokens may be generated; absent: as many as fit in the context. */
  maxTokens?: number;
  /** 0 (the default) always takes the likeliest token. */
  temperature?: number;
  /**
   * A JSON Schema: the answer is JSON that is valid under it, if `maxTokens` does not end it before. What cannot be
   * enforced is refused.
   */
  schema?: JSONSchema;
  /** Aborting it ends the answer with the signal's reason. */
  signal?: AbortSignal;
}

/** How `load` reports, and how it is stopped. */
export interface LoadOptions {
  /** Called with the state now, and at each change until the load has ended. */
  onProgress?: (status: StatusValue) => void;
  /** Aborting it ends the load if nobody else waits for it. What was downloaded stays, and the next load goes on from there. */
  signal?: AbortSignal;
  /**
   * Opens a model that was imported without hashes from elsewhere: nobody knows whether its files are what they should be.
   * @defaultValue false
   */
  allowUnverified?: boolean;
}

const DEFAULT_LIMITS: Limits = {
  waiting: 16,
  requestBytes: 25 * 1024 * 1024,
  imageBytes: 20 * 1024 * 1024,
  pixels: 50_000_000,
  images: 16,
};

const NIM_ORIGINS = ['https://integrate.api.nvidia.com', 'https://ai.api.nvidia.com'];

/** Options that may be functions. */
const FUNCTIONS = ['fetch', 'policy', 'remote.apiKey', 'remote.consent'];

/**
 * The options of a page in plain data, checked as the fields of a request are: a misspelt option must not be ignored in
 * silence. Options that are null or undefined get their defaults.
 *
 * @throws NearsightError `invalid_request` naming the option
 */
export function readOptions(options: unknown) {
  const read = checkOptions(toPlain(options, FUNCTIONS), '');
  const { model, aliases = {}, intercept = NIM_ORIGINS } = read;
  if (!model) throw mustBe('an id, a ModelSpec or a HubModel', model, 'model');
  const id = idOf(model);
  for (const [alias, target] of Object.entries(aliases)) {
    if (target !== id) throw mustBe(`'${id}', the model`, target, `aliases.${alias}`, quoted(target));
  }
  return { ...read, intercept, limits: { ...DEFAULT_LIMITS, ...read.limits } };
}

/** The arguments of `ask`, each read once. */
interface Question extends AskOptions {
  images: readonly { image: ImageInput; param: string }[];
}

/**
 * Reads and checks the arguments of `ask`.
 *
 * @param maxImages `limits.images`
 * @throws NearsightError `invalid_request` naming the argument or option
 */
export function readAsk(image: unknown, question: unknown, options: unknown, maxImages: number): Question {
  const images = reading('image', () => {
    if (!Array.isArray(image) || image.length === 0) return [{ image: checkImage(image, 'image'), param: 'image' }];
    if (image.length > maxImages) throw mustBe(`at most ${maxImages} images (limits.images)`, image, 'image');
    return Array.from({ length: image.length }, (_, index) => {
      const param = `image[${index}]`;
      return { image: reading(param, () => checkImage(image[index], param)), param };
    });
  });
  if (reading('question', () => string(question, 'question')) === '') {
    throw mustBe('a text of at least one character', question, 'question', 'empty');
  }
  return { images, ...checkAskOptions(toPlain(options, ['signal']), '') };
}

/**
 * The options of `load`, as plain data.
 *
 * @throws NearsightError `invalid_request` naming the option
 */
export function readLoad(options: unknown): LoadOptions {
  // As a listener: addEventListener('click', nearsight.load).
  if (reading('options', () => className(options)).endsWith('Event')) return {};
  return checkLoadOptions(toPlain(options, ['onProgress', 'signal']), '');
}

const IMAGE_CLASSES = ['Blob', 'File', 'ArrayBuffer', 'SharedArrayBuffer', 'URL'];

function checkImage(image: unknown, path: string): ImageInput {
  const known = ArrayBuffer.isView(image) || IMAGE_CLASSES.includes(className(image));
  const actual =
    isObject(image) && className(image) !== 'Object' ? `a ${className(image)}` : image === '' ? 'empty' : undefined;
  if (!known && (typeof image !== 'string' || image === ''))
    throw mustBe('a Blob, bytes or a URL', image, path, actual);
  // One of the classes, by its name.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return image as ImageInput;
}

/** Also of an extension's or an application's own scheme. */
const place: Check<string> = (value, path) => {
  const [scheme = ''] = string(value, path).split(':', 1);
  return isPageScheme(scheme.toLowerCase()) ? string(value, path) : address(value, path);
};

const assetFiles = within<AssetOptions>({ worker: place, ort: place, glimpse: place });

const assets: Check<unknown> = (value, path) =>
  typeof value === 'string' ? place(value, path) : assetFiles(value, path);

const checkOptions = within<NearsightOptions>({
  model: checkModel,
  device: oneOf(...DEVICES),
  intercept: array(address, 0, Infinity),
  assets,
  limits: within<Limits>({
    waiting: integer(0),
    requestBytes: integer(1),
    imageBytes: integer(1),
    pixels: integer(1),
    images: integer(0),
  }),
  ...fetchOptionChecks,
});

const signal: Check<AbortSignal> = (value, path) => {
  try {
    // Takes real ones only, of any window. The result does not keep them alive.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    AbortSignal.any([value as AbortSignal]);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    return value as AbortSignal;
  } catch {
    throw mustBe('an AbortSignal', value, path);
  }
};

const schema: Check<JSONSchema> = (value, path) => {
  if (!isObject(value) && typeof value !== 'boolean') {
    throw mustBe('a JSON Schema: an object, true or false', value, path);
  }
  // JSON has no undefined, NaN or Infinity, and the worker expects what a request can hold.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return JSON.parse(JSON.stringify(value)) as JSONSchema;
};

const checkAskOptions = within<AskOptions>({
  maxTokens: integer(1),
  temperature: number(0, 2),
  schema,
  signal,
});

const checkLoadOptions = within<LoadOptions>({ onProgress: call, signal, allowUnverified: boolean });
