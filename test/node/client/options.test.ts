import { isProxy, reactive } from '@vue/reactivity';
import { expect, test, vi } from 'vitest';
import { glimpse } from '../../../models/glimpse.ts';
import { createNearsight, type NearsightOptions } from '../../../src/index.ts';
import type { ModelSpec } from '../../../src/protocol/model-spec.ts';
import { readOptions } from '../../../src/client/options.ts';

/** As from JavaScript, where types do not help. */
function creation(options: unknown): () => unknown {
  return () => createNearsight(options as NearsightOptions);
}

test.each([
  [undefined, 'options', 'options must be an object, but it is missing.'],
  [{}, 'model', 'model must be an id, a ModelSpec or a HubModel, but it is missing.'],
  [{ model: {} }, 'model', 'model must be an id, a ModelSpec or a HubModel, but it is an object.'],
  [{ polcy: 'local-only' }, 'polcy', 'There is no option polcy. Known: model, device, intercept, assets, limits,'],
  [{ policy: 'local' }, 'policy', "one of 'local-only', 'local-first', 'remote-first', but it is 'local'."],
  [{ device: 'gpu' }, 'device', "device must be one of 'auto', 'webgpu', 'wasm', but it is 'gpu'."],
  [{ intercept: 'https://api.example.com' }, 'intercept', 'intercept must be an array, but it is a string.'],
  [
    { intercept: ['https://a.example', 'api.example.com'] },
    'intercept[1]',
    'intercept[1] must be an address with its scheme',
  ],
  [{ intercept: ['not a url'] }, 'intercept[0]', 'intercept[0] must be an address with its scheme'],
  [{ intercept: ['https://'] }, 'intercept[0]', 'intercept[0] must be an address with its scheme'],
  [{ limits: { waiting: 'x' } }, 'limits.waiting', 'an integer of at least 0, but it is a string.'],
  [{ limits: { pixels: -1 } }, 'limits.pixels', 'an integer of at least 1, but it is -1.'],
  [
    { limits: { pixel: 1 } },
    'limits.pixel',
    'There is no option limits.pixel. Known in limits: waiting, requestBytes, imageBytes, pixels, images.',
  ],
  [{ aliases: { 'gpt-4o': 'nope' } }, 'aliases.gpt-4o', "must be 'glimpse', the model, but it is 'nope'."],
  [{ worker: '/w.js' }, 'worker', 'There is no option worker.'],
  [{ assets: 'nearsight' }, 'assets', 'an address with its scheme'],
  [{ assets: { wasm: '/' } }, 'assets.wasm', 'There is no option assets.wasm. Known in assets: worker, ort, glimpse.'],
  [{ fetch: 1 }, 'fetch', 'a function, but it is 1.'],
  [{ remote: {} }, 'remote.baseURL', 'the address of a NIM endpoint, but it is missing.'],
  [{ remote: { baseURL: '' } }, 'remote.baseURL', 'an address with its scheme'],
  [{ remote: { baseURL: 'localhost:8000/v1' } }, 'remote.baseURL', 'an address with its scheme'],
  [{ remote: { baseURL: '/nim', dialect: 'foo' } }, 'remote.dialect', "but it is 'foo'."],
  [{ remote: { baseURL: '/nim', consent: true } }, 'remote.consent', 'a function, but it is a boolean.'],
  [{ images: { origins: ['pictures.example'] } }, 'images.origins[0]', 'an address with its scheme'],
])('%o is refused, naming %s', (options, param, words) => {
  const withModel = options && { model: glimpse, ...options };
  expect(creation(options && Object.keys(options).length === 0 ? {} : withModel)).toThrow(
    expect.objectContaining({ code: 'invalid_request', param, message: expect.stringContaining(words) }),
  );
});

const image = new Blob(['x']);

test.each<[unknown[], string, string]>([
  [[null, 'What?'], 'image', 'a Blob, bytes or a URL, but it is null.'],
  [['', 'What?'], 'image', 'a Blob, bytes or a URL, but it is empty.'],
  [[new Date(), 'What?'], 'image', 'a Blob, bytes or a URL, but it is a Date.'],
  [[[], 'What?'], 'image', 'a Blob, bytes or a URL, but it is an array of 0.'],
  [[[image, 7], 'What?'], 'image[1]', 'a Blob, bytes or a URL, but it is 7.'],
  [[[image, [image]], 'What?'], 'image[1]', 'a Blob, bytes or a URL, but it is an array of 1.'],
  [[Array(17).fill(image), 'What?'], 'image', 'at most 16 images (limits.images), but it is an array of 17.'],
  [[image], 'question', 'a string, but it is missing.'],
  [[image, ''], 'question', 'a text of at least one character, but it is empty.'],
  [[image, 'What?', null], 'options', 'options must be an object, but it is null.'],
  [[image, 'What?', { maxTokens: 0 }], 'maxTokens', 'an integer of at least 1, but it is 0.'],
  [[image, 'What?', { maxTokens: 1.5 }], 'maxTokens', 'an integer'],
  [[image, 'What?', { maxTokens: 'a' }], 'maxTokens', 'an integer'],
  [[image, 'What?', { temperature: NaN }], 'temperature', 'a number from 0 to 2, but it is NaN.'],
  [[image, 'What?', { temperature: 9 }], 'temperature', 'a number from 0 to 2, but it is 9.'],
  [
    [image, 'What?', { maxToken: 5 }],
    'maxToken',
    'There is no option maxToken. Known: maxTokens, temperature, schema, signal.',
  ],
  [[image, 'What?', { schema: '{}' }], 'schema', 'a JSON Schema: an object, true or false, but it is a string.'],
  [[image, 'What?', { schema: { type: () => 'object' } }], 'schema.type', 'plain data'],
])('ask(...%o) is refused, naming %s', async (args, param, words) => {
  const { ask } = createNearsight({ model: glimpse });
  const answer = ask(...(args as Parameters<typeof ask>))[Symbol.asyncIterator]();
  await expect(answer.next()).rejects.toMatchObject({
    code: 'invalid_request',
    param,
    message: expect.stringContaining(words),
  });
});

test('documented options are accepted, and undefined is the same as absent', () => {
  const options = {
    model: glimpse,
    device: 'auto',
    intercept: ['https://api.example.com/v1', new URL('http://localhost:8000'), '/api', './api'],
    assets: { worker: new URL('https://example.com/w.js'), ort: '/ort/' },
    limits: { waiting: 0, pixels: 1e6 },
    fetch: globalThis.fetch,
    aliases: { 'gpt-4o': 'glimpse' },
    policy: () => 'local' as const,
    remote: { baseURL: '/nim', apiKey: async () => 'key', consent: () => true, credentials: 'same-origin' as const },
    images: { origins: ['https://pictures.example'], tags: true },
  } as const;
  expect(creation(options)).not.toThrow();
  const none = Object.fromEntries(Object.keys(options).map((name) => [name, undefined]));
  expect(creation({ ...none, model: glimpse })).not.toThrow();
  // An unknown id is reported by the answer, as an endpoint does it.
  expect(creation({ model: 'nope' })).not.toThrow();
});

test.each([undefined, null])('a limit or a remote that is %s leaves the default', async (none) => {
  const options = { model: glimpse, limits: { images: none }, remote: none, policy: () => 'remote' };
  const remote = createNearsight(options as unknown as NearsightOptions);
  const local = createNearsight({ ...options, policy: 'local-only' } as unknown as NearsightOptions);
  const image_url = { url: 'data:image/png;base64,iVBORw0KGgo=' };
  const content = Array.from({ length: 17 }, () => ({ type: 'image_url', image_url }));
  const body = JSON.stringify({ model: 'glimpse', messages: [{ role: 'user', content }] });
  const ask = async ({ fetch }: typeof local): Promise<unknown> =>
    (await fetch('https://integrate.api.nvidia.com/v1/chat/completions', { method: 'POST', body })).json();
  expect(await ask(local)).toMatchObject({
    error: { message: expect.stringContaining('limits.images is 16. Send fewer.') },
  });
  expect(await ask(remote)).toMatchObject({ error: { code: 'policy_refused' } });
});

/** A proxy as frameworks make them: what is read through it is wrapped anew. */
function wrapped<T extends object>(target: T): T {
  return new Proxy(target, {
    get: (from, key, receiver) => {
      const value: unknown = Reflect.get(from, key, receiver);
      const plain = typeof value === 'object' && value !== null && !(value instanceof URL);
      return plain ? wrapped(value) : value;
    },
  });
}

const OPTIONS = {
  model: glimpse,
  intercept: ['/api'],
  limits: { pixels: 9 },
  remote: { baseURL: '/nim', apiKey: () => 'k' },
};

test.each([
  ['Vue', reactive],
  ['any other library', wrapped],
])('options in proxies of %s are read into plain data', (_whose, wrap) => {
  const options = readOptions(wrap(OPTIONS));
  expect(options).toEqual(readOptions(OPTIONS));
  expect(isProxy((options.model as ModelSpec).variants[0]?.devices)).toBe(false);
  const { remote: _, ...plain } = options;
  expect(structuredClone(plain)).toEqual(plain);
});

test('assets may be in an extension or an application of its own scheme, and in no other', () => {
  const assets = 'chrome-extension://abc/nearsight/';
  expect(() => readOptions({ model: glimpse, assets })).toThrow('an address with its scheme');
  vi.stubGlobal('location', { href: 'chrome-extension://abc/page.html' });
  expect(readOptions({ model: glimpse, assets, intercept: ['/'] })).toMatchObject({ assets });
  expect(() => readOptions({ model: glimpse, assets: 'file:///nearsight/' })).toThrow('an address with its scheme');
  vi.unstubAllGlobals();
});

test('the options are copied, and URLs become strings', () => {
  const changing = {
    ...OPTIONS,
    intercept: ['/api', new URL('https://example.com')],
    assets: { worker: new URL('https://example.com/w.js') },
  };
  const options = readOptions(changing);
  changing.intercept.pop();
  expect(options).toMatchObject({
    intercept: ['/api', 'https://example.com/'],
    assets: { worker: 'https://example.com/w.js' },
  });
  expect((options.model as ModelSpec).files[0]?.url).toEqual(String(glimpse.files[0]?.url));
});

const revoked = Proxy.revocable([], {});
revoked.revoke();
const itself: Record<string, unknown> = {};
itself['self'] = { again: itself };
const throwing = {
  get bytes(): number {
    throw new Error('not yet');
  },
};

const upper = { path: 'config.json', bytes: 1, sha256: 'A'.repeat(64) };

test.each<[what: string, change: () => object, param: string, words: string]>([
  ['a function', () => ({ extra: () => {} }), 'model.extra', 'must be plain data, but it is a function.'],
  ['a symbol', () => ({ extra: Symbol('s') }), 'model.extra', 'must be plain data, but it is a symbol.'],
  ['a bigint', () => ({ extra: 1n }), 'model.extra', 'must be plain data, but it is a bigint.'],
  ['a function, deeper', () => ({ variants: [{ devices: () => [] }] }), 'model.variants[0].devices', 'a function.'],
  ['a Map', () => ({ files: [{}, { hashes: new Map() }] }), 'model.files[1].hashes', 'plain data, but it is a Map.'],
  ['a cycle', () => ({ extra: itself }), 'model.extra.self.again', 'plain data, but it is part of itself.'],
  [
    'a wrapped cycle',
    () => ({ extra: wrapped(itself) }),
    `model.extra${'.self.again'.repeat(79)}.self`,
    'part of itself.',
  ],
  ['a getter that throws', () => ({ files: [throwing] }), 'model.files[0].bytes', 'cannot be read: Error: not yet.'],
  ['a revision that is no commit', () => ({ revision: 'feature/x' }), 'model.revision', "but it is 'feature/x'."],
  ['an upper-case hash', () => ({ files: [upper] }), 'model.files[0].sha256', '64 lower-case hex digits'],
  ['a revoked proxy', () => ({ variants: [revoked.proxy] }), 'model.variants[0]', 'cannot be read: TypeError'],
])('a spec with %s is refused, naming its path', (_what, change, param, words) => {
  const refused = { code: 'invalid_request', param, message: expect.stringContaining(words) };
  expect(creation({ model: { ...glimpse, ...change() } })).toThrow(expect.objectContaining(refused));
});

test('a function where none is expected is refused', () => {
  const intercept = [() => {}];
  expect(creation({ model: glimpse, intercept })).toThrow(expect.objectContaining({ param: 'intercept[0]' }));
});
