/** Whole files from servers without ranges, into a part file of which the first segment is there. */
import { createHash } from 'node:crypto';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, expect, test, vi } from 'vitest';
import { SEGMENT_BYTES } from '../../../src/storage/journal.ts';
import { download } from '../../../worker/storage/download.ts';
import { PartFile } from '../../../worker/storage/part-file.ts';

// Random bytes cannot be compressed, as weights cannot.
const content = crypto.getRandomValues(new Uint8Array(65_536));
const weights = Buffer.concat(Array.from({ length: 5 }, (_, index) => content.map((byte) => byte ^ (index * 37))));
const never = new AbortController().signal;
let server: Server | undefined;

/** Only the library of workers declares it. */
declare global {
  interface FileSystemSyncAccessHandle {
    getSize(): number;
    read(into: Uint8Array, options: { at: number }): number;
    write(from: Uint8Array, options: { at: number }): number;
    truncate(size: number): void;
    flush(): void;
    close(): void;
  }
  interface FileSystemFileHandle {
    createSyncAccessHandle(): Promise<FileSystemSyncAccessHandle>;
  }
}

afterEach(() => {
  vi.unstubAllGlobals();
  server?.closeAllConnections();
  server?.close();
});

/** A file of the private file system, in memory. */
function memoryHandle(start: Uint8Array): FileSystemFileHandle {
  let bytes = Buffer.from(start);
  const resize = (size: number): void => {
    const old = bytes;
    bytes = Buffer.alloc(size);
    old.copy(bytes);
  };
  const access: FileSystemSyncAccessHandle = {
    getSize: () => bytes.length,
    read: (into, { at }) => bytes.copy(into, 0, at),
    write(from, { at }) {
      if (at + from.length > bytes.length) resize(at + from.length);
      bytes.set(from, at);
      return from.length;
    },
    truncate: resize,
    flush: () => {},
    close: () => {},
  };
  return { createSyncAccessHandle: async () => access } as FileSystemFileHandle;
}

/** Downloads from a server of another origin: Node's `fetch` has no origin. */
async function run(listener: RequestListener) {
  let requests = 0;
  server = createServer((request, response) => {
    if (!request.headers.range) requests++;
    listener(request, response);
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  const { fetch } = globalThis;
  vi.stubGlobal('fetch', async (...args: Parameters<typeof fetch>) =>
    Object.defineProperty(await fetch(...args), 'type', { value: 'cors' }),
  );
  const sha256 = createHash('sha256').update(weights).digest('hex');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const stored = Buffer.concat([weights, Buffer.from(JSON.stringify({ etag: null, done: '10' }))]);
  const part = await PartFile.open(memoryHandle(stored), { path: 'weights.bin', bytes: weights.length, sha256, url });
  expect(part.storedBytes).toBe(SEGMENT_BYTES);
  const outcome = await download(part, { onBytes: () => {}, signal: never }).then(
    () => 'right',
    ({ code, message }) => `${code}: ${message}`,
  );
  return { outcome, requests, stored: part.storedBytes };
}

test('a longer file is refused before what is stored is thrown away', async () => {
  const longer = Buffer.concat([weights, Buffer.alloc(1000)]);
  expect(await run((_request, response) => response.end(longer))).toEqual({
    outcome: expect.stringMatching(/^integrity: weights\.bin should have 327680 bytes, got 328680\./) as string,
    requests: 1,
    stored: SEGMENT_BYTES,
  });
});

test('a shorter file of unknown length is asked for once', async () => {
  const { outcome, requests } = await run((_request, response) => {
    response.write(weights.subarray(0, 300_000));
    response.end();
  });
  expect(outcome).toMatch(/^integrity: weights\.bin should have 327680 bytes, got 300000\./);
  expect(requests).toBe(1);
});

test('a file that compression made longer is taken', async () => {
  const compressed = gzipSync(weights);
  expect(compressed.length).toBeGreaterThan(weights.length);
  const headers = { 'content-encoding': 'gzip', 'content-length': compressed.length };
  expect(await run((_request, response) => response.writeHead(200, headers).end(compressed))).toEqual({
    outcome: 'right',
    requests: 1,
    stored: weights.length,
  });
});
