import { mustBe } from '../openai/field-checks.ts';
import { NearsightError } from '../protocol/errors.ts';

/** Options are a few levels deep. A proxy that wraps anew at each access hides a cycle from a search for the same object. */
const DEEPEST = 32;

/**
 * A copy in plain data, read through proxies: what Vue's `reactive` or Svelte's `$state` wraps cannot be posted to a
 * worker, and may change later. A `URL` becomes a string.
 *
 * @param calls paths where a function may stand; it is kept as it is
 * @throws NearsightError `invalid_request` with the path of what is no plain data: a function, symbol, bigint, cycle, an
 *   instance of a built-in class, or a getter that throws
 */
export function toPlain(options: unknown, calls: readonly string[]): unknown {
  const walk = (read: () => unknown, path: string, above: readonly unknown[]): unknown => {
    try {
      const value = read();
      if (typeof value === 'function' && calls.includes(path)) return value;
      if (/function|symbol|bigint/.test(typeof value)) throw mustBe('plain data', value, path);
      if (typeof value !== 'object' || value === null) return value;
      const kind = Object.prototype.toString.call(value).slice(8, -1);
      if (kind === 'URL') return Reflect.get(value, 'href');
      if (above.includes(value) || above.length > DEEPEST) throw mustBe('plain data', value, path, 'part of itself');
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
