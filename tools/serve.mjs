import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { arrayBuffer } from 'node:stream/consumers';

/**
 * A static file server for a folder, on this machine only.
 *
 * @typedef {object} ServeOptions
 * @property {Record<string, string>} [headers] sent with every file
 * @property {number} [port] default: any free one
 * @property {(request: Request) => Response | undefined | Promise<Response | undefined>} [answer] is called
 *   first; if it returns undefined, the file is served
 *
 * @typedef {object} Server
 * @property {string} origin `http://127.0.0.1:PORT`
 * @property {() => Promise<void>} close also closes open connections
 */

/** @type {Record<string, string>} */
const types = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.webp': 'image/webp',
};

/**
 * The file at a path, with its size; undefined if there is none. Paths cannot leave the folder: `normalize`
 * resolves every `..` against the root.
 *
 * @param {string} folder
 * @param {string} pathname
 */
function fileAt(folder, pathname) {
  const path = join(folder, normalize(decodeURIComponent(pathname)));
  const file = path.endsWith('/') ? `${path}index.html` : path;
  const found = statSync(file, { throwIfNoEntry: false });
  return found?.isFile() ? { file, bytes: found.size } : undefined;
}

/**
 * @param {import('node:http').IncomingMessage} message
 * @param {string} origin
 * @param {AbortSignal} signal
 */
async function toRequest(message, origin, signal) {
  const headers = new Headers();
  for (const [name, values] of Object.entries(message.headersDistinct)) {
    for (const value of values ?? []) headers.append(name, value);
  }
  const method = message.method ?? 'GET';
  const body = method === 'GET' || method === 'HEAD' ? null : await arrayBuffer(message);
  return new Request(new URL(message.url ?? '/', origin), { method, headers, body, signal });
}

/**
 * @param {Response} response
 * @param {import('node:http').ServerResponse} reply
 */
async function send(response, reply) {
  reply.writeHead(response.status, Object.fromEntries(response.headers));
  if (!response.body) return void reply.end();
  try {
    for await (const chunk of response.body) {
      // Returning cancels the body.
      if (reply.destroyed) return;
      reply.write(chunk);
    }
    reply.end();
  } catch {
    // The body failed, or the client disconnected: close the connection.
    reply.destroy();
  }
}

/**
 * @param {string} folder
 * @param {ServeOptions} [options]
 * @returns {Promise<Server>}
 */
export async function serve(folder, { headers = {}, port = 0, answer } = {}) {
  let origin = '';
  /**
   * @param {import('node:http').IncomingMessage} message
   * @param {import('node:http').ServerResponse} reply
   */
  const respond = async (message, reply) => {
    const disconnect = new AbortController();
    reply.on('close', () => disconnect.abort());
    try {
      const answered = await answer?.(await toRequest(message, origin, disconnect.signal));
      if (answered) return await send(answered, reply);
      const found = fileAt(folder, new URL(message.url ?? '/', origin).pathname);
      if (!found) return void reply.writeHead(404, headers).end('Not found');
      const type = types[extname(found.file)] ?? 'application/octet-stream';
      reply.writeHead(200, {
        'content-type': type,
        'content-length': found.bytes,
        'cache-control': 'no-cache',
        ...headers,
      });
      if (message.method === 'HEAD') return void reply.end();
      createReadStream(found.file).pipe(reply);
    } catch (error) {
      if (!reply.headersSent) reply.writeHead(500);
      reply.end(String(error));
    }
  };
  const server = createServer((message, reply) => void respond(message, reply));
  await new Promise((resolve, reject) => {
    server.once('error', reject).listen(port, '127.0.0.1', () => resolve(undefined));
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server has no port.');
  origin = `http://127.0.0.1:${address.port}`;
  return {
    origin,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
