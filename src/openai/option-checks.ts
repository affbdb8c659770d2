import { NearsightError } from '../protocol/errors.ts';
import { isObject, mustBe, quoted, string, type Check } from './field-checks.ts';

/** An object with a check for each name of `T`. Another name is refused, and the known ones are listed. */
export function within<T extends object>(checks: Record<keyof T, Check<unknown>>): Check<T> {
  const known = new Map(Object.entries<Check<unknown>>(checks));
  return (value, path) => {
    if (!isObject(value)) throw mustBe('an object', value, path || 'options');
    const read: Record<string, unknown> = {};
    for (const [name, item] of Object.entries(value)) {
      const param = path ? `${path}.${name}` : name;
      const check = known.get(name);
      if (!check) {
        const message = `There is no option ${param}. Known${path && ` in ${path}`}: ${[...known.keys()].join(', ')}.`;
        throw new NearsightError('invalid_request', message, { param });
      }
      if (item !== null && item !== undefined) read[name] = check(item, param);
    }
    // Each value was read by the check of its own name.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    return read as T;
  };
}

/** Without a scheme, `api.example.com` would be a path of the page's own origin, and that server would be asked. */
export const address: Check<string> = (value, path) => {
  const url = string(value, path);
  if (!/^(https?:\/\/|\.{0,2}\/)/i.test(url) || !URL.canParse(url, 'https://page')) {
    throw mustBe(
      "an address with its scheme, such as 'https://api.example.com', or a path from '/' on",
      value,
      path,
      quoted(url),
    );
  }
  return url;
};

/** A function. */
export const call: Check<unknown> = (value, path) => {
  if (typeof value !== 'function') throw mustBe('a function', value, path);
  return value;
};

/** A function, or else what `check` takes. */
export function orCall<T>(check: Check<T>): Check<unknown> {
  return (value, path) => (typeof value === 'function' ? value : check(value, path));
}

/** An object of strings. */
export const strings: Check<unknown> = (value, path) => {
  if (!isObject(value)) throw mustBe('an object', value, path);
  for (const [name, item] of Object.entries(value)) string(item, `${path}.${name}`);
  return value;
};
