import { array, integer, isObject, mustBe, number, quoted, string, type Check } from '../src/openai/field-checks.ts';
import { call, orCall, within } from '../src/openai/option-checks.ts';
import type { RateLimit } from './limits.ts';

/** What {@link createNimProxy} takes. */
export interface NimProxyOptions {
  /** The NVIDIA key, or a function that gets it. It is sent to `upstream` only, and never in a response. */
  apiKey: string | (() => string | Promise<string>);
  /**
   * Decides who may use the key: check the session or token of your own application. An `Origin` header proves nothing,
   * because programs outside browsers send what they like. False is answered 401.
   */
  authorize: (request: Request) => boolean | Promise<boolean>;
  /** The models that may be asked, by their full names. Others are answered 404. */
  models: readonly string[];
  /** Other origins whose pages may call, with their cookies. @defaultValue none: only the proxy's own origin */
  origins?: readonly string[] | undefined;
  /** Maximum bytes of a request. @defaultValue 26_214_400 (25 MiB, as NVIDIA's gateway) */
  maxBytes?: number | undefined;
  /** How often one client may ask. @defaultValue as often as NVIDIA lets you */
  rateLimit?: RateLimit | undefined;
  /** Where requests go: `vlm` for models with a path of their own. @defaultValue NVIDIA's two hosts */
  upstream?: { chat: string; vlm: string } | undefined;
}

const text: Check<string> = (value, path) => {
  const given = string(value, path);
  if (given === '') throw mustBe('a text of at least one character', given, path, 'empty');
  return given;
};

/** An absolute address, without a slash at its end. */
const absolute: Check<string> = (value, path) => {
  const url = string(value, path);
  if (!URL.canParse(url) || !new URL(url).host) {
    throw mustBe("an address with its scheme, such as 'https://app.example'", value, path, quoted(url));
  }
  return url.replace(/\/+$/, '');
};

/** An origin as the header has it. URLs with the scheme of an application or an extension have none of their own. */
const origin: Check<string> = (value, path) => {
  const { protocol, host } = new URL(absolute(value, path));
  return `${protocol}//${host}`;
};

const models: Check<string[]> = (value, path) => {
  const names = array(text, 0, Infinity)(value, path);
  if (names.length === 0) throw mustBe('an array that names the models that may be asked', value, path);
  return names;
};

const store: Check<unknown> = (value, path) => {
  if (!isObject(value) || typeof value['take'] !== 'function') throw mustBe('an object with take()', value, path);
  return value;
};

/** @param required what the options are that must be given */
function options<T extends object>(
  checks: Record<keyof T, Check<unknown>>,
  required: Readonly<Partial<Record<keyof T, string>>>,
): Check<T> {
  const read = within<T>(checks);
  return (value, path) => {
    const given = read(value, path);
    for (const [name, what] of Object.entries<string | undefined>(required)) {
      if (what !== undefined && !(name in given)) throw mustBe(what, undefined, path ? `${path}.${name}` : name);
    }
    return given;
  };
}

const upstreamAddress = 'the address of a NIM endpoint, up to /chat/completions or /vlm';

/** Options that are misspelt, missing or of a wrong type are refused: a rate limit or an origin must not be ignored. */
export const checkOptions: Check<NimProxyOptions> = options<NimProxyOptions>(
  {
    apiKey: orCall(text),
    authorize: call,
    models,
    origins: array(origin, 0, Infinity),
    maxBytes: integer(1),
    rateLimit: options<RateLimit>(
      { requests: integer(1), seconds: number(0, 1e9, 0), client: call, store },
      { requests: 'an integer', seconds: 'a number', client: 'a function: it tells callers apart' },
    ),
    upstream: options<NonNullable<NimProxyOptions['upstream']>>(
      { chat: absolute, vlm: absolute },
      { chat: upstreamAddress, vlm: upstreamAddress },
    ),
  },
  {
    apiKey: 'the NVIDIA key, or a function that gets it',
    authorize: 'a function: it decides who may use the key',
    models: 'an array that names the models that may be asked',
  },
);
