import { className } from '../bytes/class-name.ts';
import { mustBe } from '../openai/field-checks.ts';
import { NearsightError } from '../protocol/errors.ts';

/**
 * Proxies that create a new proxy at each access can hide a cycle; this depth ends the search. Real options have a few
 * levels.
 */
const MAX_DEPTH = 32;

/**
 * A copy in plain data. Reads through proxies, because what Vue's `reactive` or Svelte's `$state` wraps cannot be
 * posted to a worker and may change later. A `URL` becomes a string.
 *
 * @param functions paths of values that may be functions; those are kept
 * @throws NearsightError `invalid_request` with the path of a value that is not plain data: a function, symbol, bigint,
 * cycle, instance of a built-in class, or a getter that throws
 */
export function toPlain(options: unknown, functions: readonly string[]): unknown {
  const walk = (read: () => unknown, path: string, above: readonly unknown[]): unknown => {
    try {
      const value = read();
      if (typeof value === 'function' && functions.includes(path)) return value;
      if (/function|symbol|bigint/.test(typeof value)) throw mustBe('plain data', value, path);
      if (typeof value !== 'object' || value === null) return value;
      const kind = className(value);
      if (kind === 'URL') return Reflect.get(value, 'href');
      if (above.includes(value) || above.length > MAX_DEPTH) throw mustBe('plain data', value, path, 'part of itself');
      const chain = [...above, value];
      if (Array.isArray(value)) {
        return Array.from(value.keys(), (i) => walk(() => value[i], `${path}[${i}]`, chain));
      }
      if (kind !== 'Object') throw mustBe('plain data', value, path, `a ${kind}`);
      const at = path && `${path}.`;
      const inside = (key: string): unknown => walk(() => Reflect.get(value, key), at + key, chain);
      return Object.fromEntries(Object.keys(value).map((key) => [key, inside(key)]));
    } catch (cause) {
      if (cause instanceof NearsightError) throw cause;
      throw new NearsightError('invalid_request', `${path} cannot be read: ${String(cause)}.`, { param: path, cause });
    }
  };
  return walk(() => options, '', []);
}
