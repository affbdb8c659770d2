import { createHash } from 'node:crypto';
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { DownloadedFiles } from '../../../worker/storage/downloaded-files.ts';

const content = Buffer.from('weights for a test.');
const never = new AbortController().signal;
const files = new DownloadedFiles('this is a test');
let server: Server | undefined;

async function serve(listener: RequestListener): Promise<string> {
  server = createServer(listener);
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/file.onnx`;
}

function file(url: string, change: { bytes?: number; sha256?: string } = {}) {
  const sha256 = createHash('sha256').update(content).digest('hex');
  return { path: 'onnx/file.onnx', bytes: content.length, sha256, url, ...change };
}

/** Time limits and pauses are that many times shorter. */
const HASTE = 20;

function hurry(): void {
  const { setTimeout: real } = globalThis;
  vi.stubGlobal('setTimeout', (run: () => void, ms = 0, ...values: unknown[]) => real(run, ms / HASTE, ...values));
}

afterEach(() => {
  vi.unstubAllGlobals();
  server?.closeAllConnections();
  server?.close();
});

describe('opening a file of a model', () => {
  it('gives the bytes, counting them as they come', async () => {
    const url = await serve((_request, response) => {
      response.write(content.subarray(0, 7));
      setTimeout(() => response.end(content.subarray(7)), 20);
    });
    const counts: number[] = [];
    const bytes = await files.open(file(url), (count) => counts.push(count), never);
    expect(Buffer.from(bytes).equals(content)).toBe(true);
    expect(counts.reduce((sum, count) => sum + count)).toBe(content.length);
  });

  it('refuses a file of another size or hash', async () => {
    const url = await serve((_request, response) => response.end(content));
    const read = (change: object) => files.open(file(url, change), () => {}, never);
    await expect(read({ bytes: content.length + 1 })).rejects.toMatchObject({ code: 'integrity' });
    await expect(read({ bytes: content.length - 1 })).rejects.toMatchObject({ code: 'integrity' });
    await expect(read({ sha256: '0'.repeat(64) })).rejects.toMatchObject({ code: 'integrity' });
  });

  it('asks once for a file that is shorter, also where no header says how long it is, and tells its length', async () => {
    let requests = 0;
    const url = await serve((_request, response) => {
      requests++;
      response.write(content.subarray(0, 7));
      response.end();
    });
    await expect(files.open(file(url), () => {}, never)).rejects.toMatchObject({
      code: 'integrity',
      message: expect.stringMatching(/should have 19 bytes, got 7\./) as string,
    });
    expect(requests).toBe(1);
  });

  it('names the address and the status when the server refuses, and the cause when there is no server', async () => {
    const url = await serve((_request, response) => response.writeHead(404).end());
    await expect(files.open(file(url), () => {}, never)).rejects.toMatchObject({
      code: 'load_failed',
      message: expect.stringMatching(/HTTP 404\. Not Found\./) as string,
    });
    server?.close();
    server?.closeAllConnections();
    hurry();
    await expect(files.open(file(url), () => {}, never)).rejects.toMatchObject({ code: 'load_failed' });
  });

  it('stops with the reason of the caller that aborts', async () => {
    const url = await serve((_request, response) => void response.write(content.subarray(0, 3)));
    const caller = new AbortController();
    const read = files.open(file(url), () => caller.abort('enough'), caller.signal);
    await expect(read).rejects.toBe('enough');
  });

  it.each([
    ['ends the connection', {}],
    ['promises more than it sends', { 'content-length': content.length }],
  ])('names the file, how many bytes arrived and the cause when the server always %s', async (_, headers) => {
    hurry();
    const url = await serve((_request, response) => {
      response.writeHead(200, headers).write(content.subarray(0, 7));
      // Once these have arrived: what is still on its way is lost with the connection.
      setTimeout(() => response.destroy(), 1000);
    });
    const counts: number[] = [];
    const onBytes = (count: number): void => void counts.push(count);
    await expect(files.open(file(url), onBytes, never)).rejects.toMatchObject({
      code: 'load_failed',
      message: expect.stringMatching(/onnx\/file\.onnx.* after 7 of 19 bytes: ./) as string,
      cause: expect.any(Error) as Error,
    });
    expect(counts).toEqual([7]);
  });

  it.each<[string, (response: ServerResponse) => unknown]>([
    ['is busy', (response) => response.writeHead(503).end()],
    ['limits requests', (response) => response.writeHead(429, { 'retry-after': '1' }).end()],
    ['accepts the connection and says nothing', () => {}],
    ['stops in mid-download', (response) => response.write(content.subarray(0, 7))],
    ['breaks off', (response) => response.write(content.subarray(0, 7), () => response.destroy())],
  ])('asks again when the server %s, and counts no byte twice', async (_, fail) => {
    hurry();
    let requests = 0;
    const url = await serve((_request, response) => (++requests < 3 ? fail(response) : response.end(content)));
    let counted = 0;
    const bytes = await files.open(file(url), (count) => (counted += count), never);
    expect(Buffer.from(bytes).equals(content)).toBe(true);
    expect([counted, requests]).toEqual([content.length, 3]);
  });

  it('stops with the reason of the caller that aborts while bytes are on their way, and counts nothing more', async () => {
    const url = await serve((_request, response) => {
      response.write(content.subarray(0, 3));
      setTimeout(() => response.write(content.subarray(3, 6)), 20);
    });
    const caller = new AbortController();
    const reason = new Error('enough');
    let counted = 0;
    const read = files.open(
      file(url),
      (count) => {
        counted += count;
        if (counted === 6) caller.abort(reason);
      },
      caller.signal,
    );
    await expect(read).rejects.toBe(reason);
    expect(counted).toBe(6);
  });

  it("refuses the application's page, which many servers send for files that they lack", async () => {
    const url = await serve((_request, response) =>
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end('<!doctype html>'),
    );
    const message = expect.stringContaining('HTTP 200. It is a web page') as string;
    await expect(files.open(file(url), () => {}, never)).rejects.toMatchObject({ code: 'load_failed', message });
  });

  it('takes a file of the right size from a server that calls every file a page', async () => {
    const url = await serve((_request, response) =>
      response.writeHead(200, { 'content-type': 'text/html', 'content-length': content.length }).end(content),
    );
    expect(await files.open(file(url), () => {}, never)).toEqual(new Uint8Array(content));
  });

  it('refuses a response without a body, with its status', async () => {
    const url = await serve((_request, response) => response.writeHead(204).end());
    await expect(files.open(file(url), () => {}, never)).rejects.toMatchObject({
      code: 'load_failed',
      message: expect.stringContaining('HTTP 204') as string,
    });
  });

  it.each([
    [NaN, 'integrity'],
    [-1, 'load_failed'],
    [1.5, 'integrity'],
    [2 ** 53, 'load_failed'],
  ])('refuses a file whose spec says %d bytes, with its name', async (bytes, code) => {
    const url = await serve((_request, response) => response.end(content));
    await expect(files.open(file(url, { bytes }), () => {}, never)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(/^onnx\/file\.onnx /) as string,
    });
  });
});

describe('a file that a bundler inlined', () => {
  const inlined = `data:application/octet-stream;base64,${content.toString('base64')}`;

  it('is read without a request, and counted', async () => {
    const counts: number[] = [];
    const bytes = await files.open(file(inlined), (count) => counts.push(count), never);
    expect(Buffer.from(bytes).equals(content)).toBe(true);
    expect(counts).toEqual([content.length]);
  });

  it('is refused if it has another size or hash', async () => {
    const counts: number[] = [];
    const read = (change: object) => files.open(file(inlined, change), (count) => counts.push(count), never);
    await expect(read({ bytes: content.length + 1 })).rejects.toMatchObject({ code: 'integrity' });
    await expect(read({ sha256: '0'.repeat(64) })).rejects.toMatchObject({ code: 'integrity' });
  });

  it.each(['data:application/octet-stream', 'data:;base64,§'])(
    'fails with its name if it is broken: %s',
    async (url) => {
      await expect(files.open(file(url), () => {}, never)).rejects.toMatchObject({
        code: 'load_failed',
        message: expect.stringMatching(/^onnx\/file\.onnx .*(comma|base64)/) as string,
      });
    },
  );
});
