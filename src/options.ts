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
} from './api/check.ts';
import type { AskOptions, NearsightOptions } from './nearsight.ts';
import type { RemoteOptions } from './remote.ts';

/**
 * Checks the options of a page as the fields of a request are checked: one that is misspelt would else be found out by
 * what it did not prevent.
 *
 * @throws NearsightError `invalid_request` naming the option
 */
export function checkOptions(options: NearsightOptions): void {
  if (!isObject(options)) throw mustBe('an object with a model', options, 'options');
  const { model } = readFields(options, OPTIONS, '');
  if (!model) throw mustBe('an id or a ModelSpec', model, 'model');
  for (const [alias, target] of Object.entries(options.aliases ?? {})) {
    if (target !== model) throw mustBe(`'${model}', the model`, target, `aliases.${alias}`, quoted(target));
  }
}

/**
 * The same for what `ask` is given.
 *
 * @throws NearsightError `invalid_request` naming it
 */
export function checkAsk(picture: unknown, question: unknown, options: AskOptions): void {
  const isPicture = picture instanceof Blob || picture instanceof URL || isBytes(picture);
  if (!isPicture && (typeof picture !== 'string' || picture === ''))
    throw mustBe('a Blob, bytes or a URL', picture, 'picture');
  if (string(question, 'question') === '')
    throw mustBe('a text of at least one character', question, 'question', 'empty');
  if (!isObject(options)) throw mustBe('an object', options, 'options');
  readFields(options, ASK, '');
}

function isBytes(value: unknown): boolean {
  return ArrayBuffer.isView(value) || Object.prototype.toString.call(value) === '[object ArrayBuffer]';
}

function option<T>(read: Check<T>): Honoured<T> {
  return { fate: 'honoured', known: 0, read };
}

/** Gives the model's name. */
const model: Check<string> = (value, path) => {
  if (typeof value === 'string') return value;
  if (!isObject(value) || !Array.isArray(value['files']) || !Array.isArray(value['variants'])) {
    throw mustBe('an id or a ModelSpec', value, path);
  }
  return string(value['id'], `${path}.id`);
};

/** Without a scheme, `api.example.com` would be a path of the page's own, and that server would be asked. */
const address: Check<string> = (value, path) => {
  const url = value instanceof URL ? value.href : string(value, path);
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

/** Where one of our own files is. */
const place: Check<unknown> = (value, path) => (value instanceof URL ? value : string(value, path));

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
  const { baseURL } = readFields(value, REMOTE, path);
  if (!baseURL) throw mustBe('the address of a NIM endpoint', baseURL, `${path}.baseURL`);
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
  owns: option(array(address, 0, Infinity)),
  worker: option(place),
  assets: option(within({ ort: place })),
  limits: option(
    within({
      waiting: integer(0),
      requestBytes: integer(1),
      pictureBytes: integer(1),
      pixels: integer(1),
      pictures: integer(0),
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
