/** The proxy as a handler of Node's server: backpressure, connections that the page closes, and HTTP/2. */
import { createServer } from 'node:http';
import * as http2 from 'node:http2';
import { connect, type AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, it, vi } from 'vitest';
import { createNimProxy, toNodeHandler } from '../../../proxy/index.ts';

it('reads an answer only as fast as the page does, and stops when the page closes the connection', async () => {
  const mebibytes = 64;
  let sent = 0;
  let cancelled = false;
  const proxy = async (): Promise<Response> => {
    sent = 0;
    const source = new ReadableStream<Uint8Array>({
      async pull(controller) {
        await new Promise((resolve) => setImmediate(resolve));
        if (sent === mebibytes) return controller.close();
        sent++;
        controller.enqueue(new Uint8Array(1 << 20));
      },
      cancel: () => void (cancelled = true),
    });
    return new Response(source);
  };
  const http = createServer(toNodeHandler(proxy));
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const { port } = http.address() as AddressInfo;
  const socket = connect(port, '127.0.0.1').pause();
  socket.write('GET /nim/status/a HTTP/1.1\r\nHost: x\r\n\r\n');
  await settles(() => sent);
  expect(sent).toBeLessThan(mebibytes / 2);
  socket.destroy();
  await expect.poll(() => cancelled).toBe(true);
  const whole = await fetch(`http://127.0.0.1:${port}/nim/status/a`);
  expect((await whole.arrayBuffer()).byteLength).toBe(mebibytes << 20);
  http.close();
});

it('takes requests of HTTP/2, whose pages are of the origin that they name', async () => {
  const upstream = vi.spyOn(globalThis, 'fetch').mockImplementation(async () => Response.json({ choices: [] }));
  const warned = vi.fn();
  process.on('warning', warned);
  const proxy = createNimProxy({ apiKey: 'key', authorize: () => true, models: ['a/b'] });
  const server = http2.createServer(toNodeHandler(proxy));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const ask = async (origin: string): Promise<unknown[]> => {
    const request = client.request({
      ':method': 'POST',
      ':path': '/nim/chat/completions',
      ':scheme': 'https',
      ':authority': 'app.example',
      'content-type': 'application/json',
      origin,
    });
    request.end(JSON.stringify({ model: 'a/b', messages: [] }));
    const status = new Promise((resolve) => request.once('response', (fields) => resolve(fields[':status'])));
    return [await text(request), await status];
  };
  expect(await ask('https://app.example')).toEqual(['{"choices":[]}', 200]);
  expect(await ask('http://app.example')).toEqual([expect.stringContaining('origin_refused'), 403]);
  client.close();
  server.close();
  await new Promise((resolve) => setImmediate(resolve));
  process.off('warning', warned);
  expect(warned).not.toHaveBeenCalled();
  expect(upstream).toHaveBeenCalledOnce();
  upstream.mockRestore();
});

it('says in the log of the server why an answer breaks off, and nothing of a page that has gone', async () => {
  const log = vi.spyOn(console, 'error').mockImplementation(() => {});
  const broken = new Error('The upstream has gone.');
  let asked = 0;
  const proxy = async ({ signal }: Request): Promise<Response> => {
    asked++;
    await new Promise((resolve) => (asked === 1 ? resolve(null) : signal.addEventListener('abort', resolve)));
    signal.throwIfAborted();
    return new Response(new ReadableStream({ pull: (controller) => controller.error(broken) }));
  };
  const http = createServer(toNodeHandler(proxy));
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const { port } = http.address() as AddressInfo;
  await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow(TypeError);
  const socket = connect(port, '127.0.0.1');
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  await expect.poll(() => asked).toBe(2);
  socket.destroy();
  await new Promise((resolve) => http.close(resolve));
  expect(log.mock.calls).toEqual([[broken]]);
  log.mockRestore();
});

/** Waits until a number has grown and then stays the same. */
async function settles(value: () => number): Promise<void> {
  for (let last = -1; last !== value() || last === 0;) {
    last = value();
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}
