import type { NimProxy } from './proxy.ts';

/** What is needed of Node's `IncomingMessage`. Spelt out, so that nobody needs Node's types who does not run on Node. */
export interface NodeRequest extends AsyncIterable<Uint8Array> {
  method?: string | undefined;
  url?: string | undefined;
  headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** What is needed of Node's `ServerResponse`. */
export interface NodeResponse {
  on(event: 'close' | 'drain', listener: () => void): unknown;
  writeHead(status: number, statusText: string, headers: Record<string, string>): unknown;
  /** False: the client is slower than we are, and `drain` says when to go on. */
  write(chunk: Uint8Array): boolean;
  end(): unknown;
  destroy(): unknown;
}

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
): (request: NodeRequest, response: NodeResponse) => void {
  const answer = async (request: NodeRequest, response: NodeResponse): Promise<void> => {
    const gone = new AbortController();
    let goOn = (): void => {};
    response.on('drain', () => goOn());
    response.on('close', () => {
      gone.abort(new DOMException('The page has gone.', 'AbortError'));
      goOn();
    });
    let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
    try {
      const { status, statusText, headers, body } = await proxy(toRequest(request, origin, gone.signal));
      response.writeHead(status, statusText, Object.fromEntries(headers));
      reader = body?.getReader();
      for (let next = await reader?.read(); next && !next.done; next = await reader?.read()) {
        gone.signal.throwIfAborted();
        if (response.write(next.value)) continue;
        await new Promise<void>((resolve) => {
          goOn = resolve;
        });
      }
      response.end();
    } catch (error) {
      // The page has gone, or the answer broke off: the page must see that, not an end.
      response.destroy();
      await reader?.cancel(error).catch(() => {});
    }
  };
  return (request, response) => void answer(request, response);
}

function toRequest(request: NodeRequest, origin: string | undefined, signal: AbortSignal): Request {
  // Put together as text: resolved as a URL, a path of `//evil.example/nim` would name another host, and its own origin.
  const path = request.url?.startsWith('/') ? request.url : '/';
  const host = [request.headers['host'] ?? 'localhost'].flat()[0];
  const url = new URL((origin?.replace(/\/$/, '') ?? `http://${host}`) + path);
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
