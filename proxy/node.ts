import type { NimProxy } from './proxy.ts';

/** The part of Node's `IncomingMessage`, or of HTTP/2's request, that is used. Declared here, so that other platforms do not need Node's types. */
export interface NodeRequest extends AsyncIterable<Uint8Array> {
  method?: string | undefined;
  url?: string | undefined;
  headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** The part of Node's `ServerResponse`, or of HTTP/2's response, that is used. */
export interface NodeResponse {
  on(event: 'close' | 'drain', listener: () => void): unknown;
  writeHead(status: number, statusText: string, headers: Record<string, string>): unknown;
  writeHead(status: number, headers: Record<string, string>): unknown;
  /** False: the client is slow; wait for `drain`. */
  write(chunk: Uint8Array): boolean;
  end(): unknown;
  destroy(): unknown;
}

/**
 * A proxy as a handler for Node's servers, of HTTP/2 as well, of Connect and Express, and of Vite's dev server. (Workers, Deno and Bun
 * use the proxy itself.) It must come before anything that reads the body.
 *
 * `request.url` may lack the path at which it is mounted, as with Connect: the proxy uses the path's end.
 *
 * @param origin the address that pages see, such as `https://app.example`, where another server ends TLS in front of
 *   this one. Default: `http:` (or the scheme that HTTP/2 names) and the Host header
 */
export function toNodeHandler(
  proxy: NimProxy,
  origin?: string,
): (request: NodeRequest, response: NodeResponse) => void {
  const answer = async (request: NodeRequest, response: NodeResponse): Promise<void> => {
    const closed = new AbortController();
    let resume = (): void => {};
    response.on('drain', () => resume());
    response.on('close', () => {
      closed.abort(new DOMException('The page has gone.', 'AbortError'));
      resume();
    });
    let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
    try {
      const { status, statusText, headers, body } = await proxy(toRequest(request, origin, closed.signal));
      // Node warns of a status text in HTTP/2, which has none.
      if (isHTTP2(request)) response.writeHead(status, Object.fromEntries(headers));
      else response.writeHead(status, statusText, Object.fromEntries(headers));
      reader = body?.getReader();
      for (let next = await reader?.read(); next && !next.done; next = await reader?.read()) {
        closed.signal.throwIfAborted();
        if (response.write(next.value)) continue;
        await new Promise<void>((resolve) => (resume = resolve));
      }
      response.end();
    } catch (error) {
      // The page closed the connection, or the answer broke off: the page must see an error, not an end.
      response.destroy();
      if (!closed.signal.aborted) console.error(error);
      await reader?.cancel(error).catch(() => {});
    }
  };
  return (request, response) => void answer(request, response);
}

function isHTTP2({ headers }: NodeRequest): boolean {
  return ':method' in headers;
}

function toRequest(request: NodeRequest, origin: string | undefined, signal: AbortSignal): Request {
  // Joined as text: resolved as a URL, a path of `//evil.example/nim` would name another host as its own origin.
  const path = request.url?.startsWith('/') ? request.url : '/';
  const { host, ':authority': authority, ':scheme': scheme } = request.headers;
  const own = `${scheme === 'https' ? scheme : 'http'}://${[authority ?? host ?? 'localhost'].flat()[0]}`;
  const url = new URL((origin?.replace(/\/$/, '') ?? own) + path);
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers)) {
    // Those of HTTP/2 itself, such as `:path`.
    if (!name.startsWith(':')) headers.set(name, [value ?? []].flat().join(', '));
  }
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
  // Node requires `duplex` for a streamed body.
  const streaming = { method, headers, signal, body, duplex: 'half' } satisfies RequestInit & { duplex: 'half' };
  return new Request(url, streaming);
}
