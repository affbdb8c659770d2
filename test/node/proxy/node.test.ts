/** The proxy as a handler of Node's server: backpressure, and connections that the page closes. */
import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { toNodeHandler } from '../../../proxy/index.ts';

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

/** Waits until a number has grown and then stays the same. */
async function settles(value: () => number): Promise<void> {
  for (let last = -1; last !== value() || last === 0;) {
    last = value();
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}
