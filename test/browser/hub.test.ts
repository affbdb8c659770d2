/** The local hub of the tests, seen from a page: what DESIGN says of the real one. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Hub, startHub } from '../hub/hub-server.ts';
import { openPage } from './harness/harness.ts';

const COMMIT = '1234567890123456789012345678901234567890';
const weights = Uint8Array.from({ length: 100_000 }, (_, at) => at % 251);
let hub: Hub;

beforeAll(async () => {
  const files = { 'config.json': new Uint8Array(20), 'onnx/a.onnx': weights };
  hub = await startHub({
    repositories: [{ id: 'org/name', revisions: { [COMMIT]: files }, branches: { main: COMMIT } }],
  });
});

afterAll(() => hub.close());

beforeEach(() => {
  hub.clearFaults();
  hub.requests.length = 0;
});

test('a page is redirected to the other host, where its origin is null, and sees few headers', async () => {
  await using page = await openPage({ policy: null });
  const read = (path: string, headers: Record<string, string> = {}) =>
    page.evaluate(
      async (url, asked) => {
        // Chromium would answer from the part it keeps, with that part's headers.
        const response = await fetch(url, {
          headers: asked,
          cache: 'no-store',
          credentials: 'omit',
          referrerPolicy: 'no-referrer',
        });
        const length = (await response.arrayBuffer()).byteLength;
        const names = ['etag', 'content-range', 'accept-ranges', 'x-linked-size', 'x-linked-etag', 'x-repo-commit'];
        return { status: response.status, length, headers: names.map((name) => response.headers.get(name)) };
      },
      `${hub.origin}/org/name/resolve/main/${path}`,
      headers,
    );
  const part = await read('onnx/a.onnx', { range: 'bytes=100-199' });
  expect(part).toEqual({
    status: 206,
    length: 100,
    headers: [expect.stringMatching(/^"[0-9a-f]{64}"$/), 'bytes 100-199/100000', 'bytes', null, null, null],
  });
  // A single range needs no permission.
  expect(hub.requests.map(({ hop, origin }) => [hop, origin])).toEqual([
    ['resolve', page.origin],
    ['cdn', 'null'],
  ]);
  expect(hub.requests.every(({ headers }) => headers['cookie'] === undefined && headers['referer'] === undefined)).toBe(
    true,
  );

  const small = await read('config.json');
  expect(small).toMatchObject({ status: 200, length: 20 });
  expect(small.headers.at(-1)).toBe(COMMIT);
  // On the same host, the origin is kept.
  expect(hub.requests.at(-1)).toMatchObject({ hop: 'cache', origin: page.origin });

  const end = hub.fault({ kind: 'no-cors' });
  await expect(read('onnx/a.onnx')).rejects.toThrow();
  end();
  hub.fault({ kind: 'redirect-loop' });
  await expect(read('onnx/a.onnx')).rejects.toThrow();
  hub.clearFaults();
  await expect(read('onnx/a.onnx', { 'if-range': '"x"' })).rejects.toThrow();
  expect(hub.requests.at(-1)?.hop).toBe('preflight');
});
