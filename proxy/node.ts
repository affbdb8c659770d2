import type { IncomingMessage, ServerResponse } from 'node:http';
import type { NimProxy } from './proxy.ts';

/**
 * A proxy as a handler of Node's HTTP server, of Connect and Express, and of Vite's dev server. (Workers, Deno and Bun
 * take the proxy itself.) It must come before anything that reads the body.
 *
 * `request.url` may lack the path at which it is mounted, as with Connect: the proxy goes by the path's end.
 *
 * @param origin the address that pages see, such as `https://app.example`, where another server ends TLS in front of
 *   this one. Default: `http:` and the Host header
 */
export function toNodeHandler(
  proxy: NimProxy,
  origin?: string,
): (request: IncomingMessage, response: ServerResponse) => void {
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const gone = new AbortController();
    response.on('close', () => gone.abort(new DOMException('The page has gone.', 'AbortError')));
    try {
      const { status, statusText, headers, body } = await proxy(toRequest(request, origin, gone.signal));
      response.writeHead(status, statusText, Object.fromEntries(headers));
      const reader = body?.getReader();
      for (let next = await reader?.read(); next && !next.done; next = await reader?.read()) response.write(next.value);
      response.end();
    } catch {
      // The page has gone, or the answer broke off: the page must see that, not an end.
      response.destroy();
    }
  };
  return (request, response) => void answer(request, response);
}

function toRequest(request: IncomingMessage, origin: string | undefined, signal: AbortSignal): Request {
  const url = new URL(request.url ?? '/', origin ?? `http://${request.headers.host ?? 'localhost'}`);
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers)) headers.set(name, [value ?? []].flat().join(', '));
  const method = request.method ?? 'GET';
  if (method === 'GET' || method === 'HEAD') return new Request(url, { method, headers, signal });
  const chunks = request[Symbol.asyncIterator]();
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await chunks.next();
        if (done) controller.close();
        else controller.enqueue(new Uint8Array(value));
      },
    },
    { highWaterMark: 0 },
  );
  // Node wants to be told that the answer may begin before the body has ended.
  const streaming = { method, headers, signal, body, duplex: 'half' } satisfies RequestInit & { duplex: 'half' };
  return new Request(url, streaming);
}
