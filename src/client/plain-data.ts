import { className } from '../bytes/class-name.ts';
import { mustBe } from '../openai/field-checks.ts';
import { isNearsightError, NearsightError, textOf } from '../protocol/errors.ts';

/**
 * Proxies that create a new proxy at each access can hide a cycle; this depth ends the search. The deepest options are
 * schemas, with two levels for each of up to 64 of their own.
 */
const MAX_DEPTH = 160;

/** A sparse array or a proxy can say that it has billions of items. Real options have some hundred values. */
const MAX_VALUES = 10_000;

/**
 * A copy in plain data. Reads through proxies, because what Vue's `reactive` or Svelte's `$state` wraps cannot be
 * posted to a worker and may change later. A `URL` becomes a string. Each value is read once.
 *
 * @param kept paths of values that may be functions or an AbortSignal, which are kept
 * @throws NearsightError `invalid_request` with the path of a value that is not plain data: a function, symbol, bigint,
 * cycle, instance of a built-in class, or a getter that throws; or if there are more than 10,000 values
 */
export function toPlain(options: unknown, kept: readonly string[]): unknown {
  let values = 0;
  const walk = (read: () => unknown, at: string, above: readonly unknown[]): unknown => {
    const path = at || 'options';
    return reading(path, () => {
      const value = read();
      if (++values > MAX_VALUES) throw mustBe('plain data', value, path, `beyond ${MAX_VALUES} values`);
      // Of a name that is no option, which the checks say better.
      if (typeof value === 'function' && (kept.includes(path) || above.length === 1)) return value;
      if (/function|symbol|bigint/.test(typeof value)) throw mustBe('plain data', value, path);
      if (typeof value !== 'object' || value === null) return value;
      const kind = className(value);
      if (kind === 'AbortSignal' && kept.includes(path)) return value;
      if (above.includes(value)) throw mustBe('plain data', value, path, 'part of itself');
      if (above.length > MAX_DEPTH)
        throw mustBe('plain data', value, path, `more than ${MAX_DEPTH} levels deep, or part of itself`);
      const chain = [...above, value];
      if (kind === 'URL') return walk(() => Reflect.get(value, 'href'), at, chain);
      if (Array.isArray(value)) {
        return Array.from({ length: value.length }, (_, i) => walk(() => value[i], `${at}[${i}]`, chain));
      }
      if (kind !== 'Object') throw mustBe('plain data', value, path, `a ${kind}`);
      const prefix = at && `${at}.`;
      const inside = (key: string): unknown => walk(() => Reflect.get(value, key), prefix + key, chain);
      return Object.fromEntries(Object.keys(value).map((key) => [key, inside(key)]));
    });
  };
  return walk(() => options, '', []);
}

/**
 * What `read` returns. What it throws names the path: a getter or a proxy of the page can throw anything.
 *
 * @throws NearsightError `invalid_request`
 */
export function reading<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (isNearsightError(cause)) throw cause;
    throw new NearsightError('invalid_request', `${path} cannot be read: ${textOf(cause)}.`, { param: path, cause });
  }
}
