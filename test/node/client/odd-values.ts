/** Values that a page may pass by mistake, or that libraries make of options: seeded. */
import { types } from 'node:util';
import { runInNewContext } from 'node:vm';
import { integer, pick, type Random } from '../../random.ts';

/** Values that no option takes, and some that one takes. */
export function oddValue(random: Random): unknown {
  return pick(random, random() < 0.1 ? HUGE : ODD)();
}

/** Without those that take the platform itself for ever: `String(new Array(2 ** 32 - 1))`. */
export function oddArgument(random: Random): unknown {
  return pick(random, ODD)();
}

const throws = (thrown: unknown) => (): never => {
  throw thrown;
};

/** Each is made anew, so that no test changes another's. */
const ODD: readonly (() => unknown)[] = [
  ...[null, undefined, true, 0, -0, -1, 1.5, NaN, Infinity, 1e308, '', ' ', 'x', '\ud800', '__proto__', 'https://'].map(
    (value) => () => value,
  ),
  () => 1n,
  () => Symbol('s'),
  () => () => {},
  () => Map,
  () => [],
  () => ({}),
  () => [null],
  () => Object.create(null),
  () => new Map([['a', 1]]),
  () => new Date(NaN),
  () => /x/,
  () => new Error('an error'),
  () => Promise.resolve('late'),
  () => new Uint8Array(3),
  () => new Blob(['x']),
  () => new URL('https://a.example/b'),
  () => new String('a String'),
  () => new AbortController().signal,
  () => JSON.parse('{ "__proto__": { "polluted": true }, "constructor": 1, "toString": 2 }'),
  () => ({ toString: throws(new Error('no text')), then: 1, length: -1 }),
  () => runInNewContext('({ a: [1, { b: 2 }] })'),
  () => runInNewContext('[new Map()]'),
  () => runInNewContext('new Proxy({}, { ownKeys() { throw new Error("another realm") } })'),
  // Objects that say they are something else.
  ...['URL', 'Blob', 'File', 'ArrayBuffer', 'SharedArrayBuffer', 'AbortSignal', 'Request'].map((name) => () => ({
    [Symbol.toStringTag]: name,
    href: () => {},
    size: -1,
    url: {},
  })),
  // Proxies of things with private state.
  ...[new Blob(['x']), new ArrayBuffer(3), new Uint8Array(3), new URL('https://a.example')].map(
    (value) => () => new Proxy(value, {}),
  ),
  () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  },
  () => {
    const { proxy, revoke } = Proxy.revocable([], {});
    revoke();
    return proxy;
  },
  ...(['get', 'ownKeys', 'has', 'getPrototypeOf', 'getOwnPropertyDescriptor'] as const).flatMap((trap) => [
    () => new Proxy({ a: 1 }, { [trap]: throws(new Error('a trap')) }),
    () => new Proxy([1], { [trap]: throws(new Error('a trap')) }),
  ]),
  // What getters throw need not be an Error, nor have a text.
  ...[new Error('not yet'), undefined, Symbol('s'), Object.create(null), { toString: throws(1) }].map(
    (thrown) => () => Object.defineProperty({}, 'a', { enumerable: true, get: throws(thrown) }),
  ),
  () => Object.defineProperty({}, Symbol.toStringTag, { get: throws(new Error('a tag')) }),
  () => {
    const itself: Record<string, unknown> = {};
    return Object.assign(itself, { itself: [itself] });
  },
];

const HUGE: readonly (() => unknown)[] = [
  () => Object.assign([], { length: 2 ** 32 - 1 }),
  () => new Proxy([], { get: (target, key) => (key === 'length' ? 1e9 : Reflect.get(target, key)) }),
  () => {
    let value: object = {};
    for (let depth = 0; depth < 20_000; depth++) value = depth % 2 ? [value] : { a: value };
    return value;
  },
  () => {
    const endless: object = new Proxy({ a: 1 }, { get: () => endless });
    return endless;
  },
  // Never the same object twice, and four in each: no cycle is seen.
  () => endlessTree(),
];

function endlessTree(): object {
  return new Proxy(
    { a: 1, b: 2, c: 3, d: 4 },
    { get: (target, key) => (key in target && typeof key === 'string' ? endlessTree() : undefined) },
  );
}

/** The same values in another kind of object, anywhere in the tree: these must be read as the plain ones are. */
export function disguised(random: Random, value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = value.map((item) => disguised(random, item));
    return pick(random, ARRAYS)(items);
  }
  if (typeof value !== 'object' || value === null || value instanceof URL) return value;
  const entries = Object.entries(value).map(([key, item]) => [key, disguised(random, item)] as const);
  return pick(random, OBJECTS)(Object.fromEntries(entries));
}

const ARRAYS: readonly ((items: unknown[]) => unknown)[] = [
  (items) => items,
  (items) => Object.freeze(items),
  (items) => new Proxy(items, {}),
  (items) => runInNewContext('Array.from(items)', { items }),
  (items) => Object.assign(items, { extra: () => {} }),
  (items) => new (class Items extends Array {})().concat(items),
];

const OBJECTS: readonly ((from: Record<string, unknown>) => unknown)[] = [
  (from) => from,
  (from) => Object.freeze(from),
  (from) => Object.assign(Object.create(null), from),
  (from) => new Proxy(from, {}),
  (from) => runInNewContext('({ ...from })', { from }),
  (from) => Object.assign(Object.create({ inherited: 1 }), from),
  (from) => Object.assign(from, { [Symbol('s')]: () => {} }),
  // A getter that gives another value when it is read again.
  (from) => {
    const read = new Set<string>();
    const getters = Object.entries(from).map(([key, value]) => {
      const get = (): unknown => (read.has(key) ? Symbol('read twice') : (read.add(key), value));
      return [key, { enumerable: true, configurable: true, get }] as const;
    });
    return Object.defineProperties({}, Object.fromEntries(getters));
  },
];

/** Puts odd values at one place or several of a tree of plain objects and arrays. */
export function spoiled(random: Random, root: object): object {
  for (let left = 1 + integer(random, 2); left > 0; left--) {
    const place: Record<string, unknown> = pick(random, placesOf(root));
    const key = pick(random, [...Object.keys(place), ...Object.keys(place), 'extra', '__proto__', '0']);
    const value = oddValue(random);
    // Without effect on what cannot be changed: the characters of a String.
    Reflect.defineProperty(place, key, { value, enumerable: true, configurable: true, writable: true });
  }
  return root;
}

function placesOf(root: object): Record<string, unknown>[] {
  const found: Record<string, unknown>[] = [];
  const visit = (value: unknown, depth: number): void => {
    if (typeof value !== 'object' || value === null || types.isProxy(value) || depth > 8) return;
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const place = value as Record<string, unknown>;
    found.push(place);
    for (const { value: item } of Object.values(Object.getOwnPropertyDescriptors(place)).slice(0, 40))
      visit(item, depth + 1);
  };
  visit(root, 0);
  return found;
}
