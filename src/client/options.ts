import {
  anything,
  array,
  boolean,
  integer,
  isObject,
  mustBe,
  number,
  oneOf,
  quoted,
  readFields,
  string,
  type Check,
  type Honoured,
} from '../openai/field-checks.ts';
import type { AskOptions, NearsightOptions } from './create-nearsight.ts';
import { toPlain } from './plain-data.ts';
import type { RemoteOptions } from '../remote/ask-remote.ts';

/** Where a function may stand. */
const CALLS = ['fetch', 'policy', 'remote.apiKey', 'remote.consent'];

/**
 * The options of a page in plain data, checked as the fields of a request are checked: one that is misspelt would else
 * be found out by what it did not prevent. Options that are null or undefined are left out.
 *
 * @throws NearsightError `invalid_request` naming the option
 */
export function readOptions(given: NearsightOptions): NearsightOptions {
  const plain = toPlain(given, CALLS);
  if (!isObject(plain)) throw mustBe('an object with a model', plain, 'options');
  // Each was read by its own row's check.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const options = readFields(plain, OPTIONS, '') as NearsightOptions;
  const { model, aliases = {} } = options;
  if (!model) throw mustBe('an id or a ModelSpec', model, 'model');
  const id = typeof model === 'string' ? model : model.id;
  for (const [alias, target] of Object.entries(aliases)) {
    if (target !== id) throw mustBe(`'${id}', the model`, target, `aliases.${alias}`, quoted(target));
  }
  return options;
}

/**
 * The same for what `ask` is given.
 *
 * @throws NearsightError `invalid_request` naming it
 */
export function checkAsk(image: unknown, question: unknown, options: AskOptions): void {
  const isImage = image instanceof Blob || image instanceof URL || isBytes(image);
  if (!isImage && (typeof image !== 'string' || image === '')) throw mustBe('a Blob, bytes or a URL', image, 'image');
  if (string(question, 'question') === '')
    throw mustBe('a text of at least one character', question, 'question', 'empty');
  if (!isObject(options)) throw mustBe('an object', options, 'options');
  readFields(options, ASK, '');
}

function isBytes(value: unknown): boolean {
  return ArrayBuffer.isView(value) || Object.prototype.toString.call(value) === '[object ArrayBuffer]';
}

function option<T>(read: Check<T>): Honoured<T> {
  return { support: 'honoured', documentedBy: 0, read };
}

const model: Check<unknown> = (value, path) => {
  if (typeof value === 'string') return value;
  if (!isObject(value) || !Array.isArray(value['files']) || !Array.isArray(value['variants'])) {
    throw mustBe('an id or a ModelSpec', value, path);
  }
  string(value['id'], `${path}.id`);
  return value;
};

/** Without a scheme, `api.example.com` would be a path of the page's own, and that server would be asked. */
const address: Check<string> = (value, path) => {
  const url = string(value, path);
  if (!/^(https?:\/\/|\.{0,2}\/)/i.test(url) || !URL.canParse(url, 'https://page')) {
    throw mustBe("an address with its scheme, such as 'https://api.example.com', or a path from '/' on", value, path);
  }
  return url;
};

const call: Check<unknown> = (value, path) => {
  if (typeof value !== 'function') throw mustBe('a function', value, path);
  return value;
};

/** A function, or else what `check` takes. */
function orCall<T>(check: Check<T>): Check<unknown> {
  return (value, path) => (typeof value === 'function' ? value : check(value, path));
}

const strings: Check<unknown> = (value, path) => {
  if (!isObject(value)) throw mustBe('an object', value, path);
  for (const [name, each] of Object.entries(value)) string(each, `${path}.${name}`);
  return value;
};

/** Anything that the table of a nested object takes. */
function within(names: Record<string, Check<unknown>>): Check<unknown> {
  const fields = Object.fromEntries(Object.entries(names).map(([name, check]) => [name, option(check)]));
  return (value, path) => readFields(value, fields, path);
}

const remote: Check<unknown> = (value, path) => {
  const fields = readFields(value, REMOTE, path);
  if (!fields.baseURL) throw mustBe('the address of a NIM endpoint', fields.baseURL, `${path}.baseURL`);
  return fields;
};

const REMOTE = {
  baseURL: option(address),
  apiKey: option(orCall(string)),
  dialect: option(oneOf('nim1', 'nim2', 'hosted', 'legacy')),
  model: option(string),
  consent: option(call),
  credentials: option(oneOf('omit', 'same-origin', 'include')),
} satisfies Record<keyof RemoteOptions, Honoured<unknown>>;

const OPTIONS = {
  model: option(model),
  device: option(oneOf('auto', 'webgpu', 'wasm')),
  intercept: option(array(address, 0, Infinity)),
  worker: option(string),
  assets: option(within({ ort: string })),
  limits: option(
    within({
      waiting: integer(0),
      requestBytes: integer(1),
      imageBytes: integer(1),
      pixels: integer(1),
      images: integer(0),
    }),
  ),
  fetch: option(call),
  aliases: option(strings),
  policy: option(orCall(oneOf('local-only', 'local-first', 'remote-first'))),
  remote: option(remote),
  images: option(within({ origins: array(address, 0, Infinity), tags: boolean })),
} satisfies Record<keyof NearsightOptions, Honoured<unknown>>;

const ASK = {
  maxTokens: option(integer(1)),
  temperature: option(number(0, 2)),
  signal: option(anything),
} satisfies Record<keyof AskOptions, Honoured<unknown>>;
