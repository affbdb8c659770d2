import { createHash, createHmac, randomUUID } from 'node:crypto';
import {
  createServer,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type Server,
  type ServerResponse,
} from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { type Fault, type FaultKind, Faults, find, type HubRequest } from './faults.ts';
import { type HubFile, type HubRepository, type Index, indexRepositories } from './repository.ts';
import { sendBytes } from './send-bytes.ts';
import { modelInfo, treePage } from './hub-api.ts';

export interface HubOptions {
  repositories: readonly HubRepository[];
  /** Entries of one page of the tree API. @defaultValue 1000, as on the hub */
  pageSize?: number;
  /** How long a redirect to the CDN is valid. @defaultValue 3600 */
  signatureSeconds?: number;
}

/** A server on this machine that behaves towards a page as Hugging Face's hub does. */
export interface Hub {
  /** `http://127.0.0.1:PORT`: what `https://huggingface.co` is. */
  origin: string;
  /** `http://localhost:PORT`: what `https://*.hf.co` is, where large files come from. */
  cdn: string;
  /** All requests so far. May be emptied. */
  requests: HubRequest[];
  /** Spoils requests from now on. @returns ends the fault */
  fault(fault: Fault): () => void;
  /** Ends all faults. */
  clearFaults(): void;
  close(): Promise<void>;
}

/** As observed. Redirects show none of these to a page, so that `X-Linked-Size` stays invisible. */
const HUB_EXPOSES =
  'X-Repo-Commit,X-Request-Id,X-Error-Code,X-Error-Message,X-Total-Count,ETag,Link,Accept-Ranges,Content-Range,' +
  'X-Linked-Size,X-Linked-ETag,X-Xet-Hash';
const CDN_EXPOSES = 'Accept-Ranges, Content-Range, Content-Type, Content-Disposition, ETag, X-Cache';

interface Exchange {
  message: IncomingMessage;
  reply: ServerResponse;
  url: URL;
  request: HubRequest;
  faults: readonly FaultKind[];
}

/** An answer of the hub that is no file. */
class Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/**
 * Starts the hub and its CDN, each on a port of its own.
 *
 * Not as on the hub: there is no `cache-control`, so that a browser's cache hides no request; and preflights are refused,
 * because what the CDN answers to them is not known: a page must do without (a single `Range` needs none).
 */
export async function startHub(options: HubOptions): Promise<Hub> {
  const index = await indexRepositories(options.repositories);
  const faults = new Faults();
  const requests: HubRequest[] = [];
  const server = new HubServer(index, options);
  const listen = async (host: 'hub' | 'cdn'): Promise<{ server: Server; port: number }> => {
    const http = createServer((message, reply) => {
      const url = new URL(message.url ?? '/', server.origins[host]);
      const request = server.describe(host, message, url);
      requests.push(request);
      const exchange = { message, reply, url, request, faults: faults.meet(request) };
      server.answer(exchange).catch(() => reply.destroy());
    });
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    const address = http.address();
    return { server: http, port: typeof address === 'object' && address ? address.port : 0 };
  };
  const [hub, cdn] = await Promise.all([listen('hub'), listen('cdn')]);
  server.origins = { hub: `http://127.0.0.1:${hub.port}`, cdn: `http://localhost:${cdn.port}` };
  return {
    origin: server.origins.hub,
    cdn: server.origins.cdn,
    requests,
    fault: (fault) => faults.add(fault),
    clearFaults: () => faults.clear(),
    close: async () => {
      for (const { server: http } of [hub, cdn]) {
        http.closeAllConnections();
        await new Promise((resolve) => http.close(resolve));
      }
    },
  };
}

class HubServer {
  origins = { hub: '', cdn: '' };
  readonly #index: Index;
  readonly #options: HubOptions;
  readonly #secret = randomUUID();
  /** Large files by what names them on the CDN. */
  readonly #onCDN = new Map<string, HubFile>();

  constructor(index: Index, options: HubOptions) {
    this.#index = index;
    this.#options = options;
    const files = [...index.values()].flatMap((commits) =>
      [...commits.values()].flatMap((found) => [...found.values()]),
    );
    for (const file of files.filter(({ large }) => large)) this.#onCDN.set(xetHash(file), file);
  }

  describe(host: 'hub' | 'cdn', message: IncomingMessage, url: URL): HubRequest {
    const { method = 'GET', headers } = message;
    const path = url.pathname;
    const resolved = /^\/(?:[^/]+\/){2}resolve\/[^/]+\/(.+)$/.exec(path);
    const cached = /^\/api\/resolve-cache\/models\/(?:[^/]+\/){3}(.+)$/.exec(path);
    const stored = this.#onCDN.get(path.slice(path.lastIndexOf('/') + 1));
    let hop: HubRequest['hop'] = 'unknown';
    if (method === 'OPTIONS') hop = 'preflight';
    else if (host === 'cdn') hop = 'cdn';
    else if (cached) hop = 'cache';
    else if (path.startsWith('/api/')) hop = 'api';
    else if (resolved) hop = 'resolve';
    const named = (resolved ?? cached)?.[1];
    const file = host === 'cdn' ? stored?.path : named && decodeURIComponent(named);
    const { range, origin } = headers;
    return { hop, method, path, file, range, origin, headers, status: 0, bytes: 0, at: Date.now() };
  }

  async answer(exchange: Exchange): Promise<void> {
    const { reply, request, faults, url } = exchange;
    const late = find(faults, 'delay');
    if (late) await delay(late.milliseconds, undefined, { ref: false });
    const cors = find(faults, 'no-cors') ? {} : this.#cors(request);
    const status = find(faults, 'status');
    try {
      if (request.hop === 'preflight') throw new Refusal(403, 'Preflight', 'Preflights are not allowed.');
      if (status) {
        const retry = status.retryAfter === undefined ? {} : { 'retry-after': String(status.retryAfter) };
        return this.#end(exchange, status.status, { ...cors, ...retry }, 'An injected fault.');
      }
      if (find(faults, 'html')) {
        const page = '<!doctype html><title>Welcome</title><p>Please log in to this network.';
        return this.#end(exchange, 200, { ...cors, 'content-type': 'text/html; charset=utf-8' }, page);
      }
      if (request.hop === 'cdn') return await this.#sendLarge(exchange, cors);
      if (request.hop === 'resolve') {
        if (find(faults, 'redirect-loop')) return this.#end(exchange, 302, { ...cors, location: url.href }, '');
        return this.#redirect(exchange, cors);
      }
      if (request.hop === 'cache') return await this.#sendSmall(exchange, cors);
      await this.#api(exchange, cors);
    } catch (error) {
      if (!(error instanceof Refusal) || reply.headersSent) throw error;
      const told = { 'x-error-code': error.code, 'x-error-message': error.message, 'content-type': 'application/json' };
      this.#end(exchange, error.status, { ...cors, ...told }, JSON.stringify({ error: error.message }));
    }
  }

  /** The hub names the page's origin, which after a redirect from the same host is still sent; the CDN is open to all. */
  #cors({ hop, origin }: HubRequest): OutgoingHttpHeaders {
    if (hop === 'preflight') return {};
    if (hop === 'cdn') return { 'access-control-allow-origin': '*', 'access-control-expose-headers': CDN_EXPOSES };
    return {
      'access-control-allow-origin': origin ?? 'https://huggingface.co',
      'access-control-expose-headers': HUB_EXPOSES,
      vary: 'Origin',
      'x-request-id': `Root=${randomUUID()}`,
    };
  }

  #end({ reply, request }: Exchange, status: number, headers: OutgoingHttpHeaders, body: string): void {
    request.status = status;
    if (request.method !== 'HEAD') request.bytes += Buffer.byteLength(body);
    const length = { 'content-type': 'text/plain; charset=utf-8', 'content-length': Buffer.byteLength(body) };
    reply.writeHead(status, { ...length, ...headers }).end(request.method === 'HEAD' ? undefined : body);
  }

  /** The repository and the commit of a branch, a tag or a commit. */
  #commit(id: string, revision: string) {
    const repository = this.#options.repositories.find((known) => known.id === id);
    // To visitors without an account, the hub does not tell repositories that are private from those that do not exist.
    if (!repository) throw new Refusal(401, 'RepoNotFound', 'Invalid username or password.');
    if (repository.gated) throw new Refusal(401, 'GatedRepo', `Access to model ${id} is restricted.`);
    const commit = Object.hasOwn(repository.branches, revision) ? repository.branches[revision] : revision;
    const files = commit === undefined ? undefined : this.#index.get(id)?.get(commit);
    if (commit === undefined || !files) throw new Refusal(404, 'RevisionNotFound', `Invalid rev id: ${revision}`);
    return { repository, commit, files };
  }

  #redirect(exchange: Exchange, cors: OutgoingHttpHeaders): void {
    const [, org, name, , revision = '', ...rest] = exchange.url.pathname.split('/').map(decodeURIComponent);
    const { commit, files } = this.#commit(`${org}/${name}`, revision);
    const file = files.get(rest.join('/'));
    const headers = { ...cors, 'x-repo-commit': commit, 'accept-ranges': 'bytes' };
    if (!file) throw new Refusal(404, 'EntryNotFound', 'Entry not found');
    if (!file.large) {
      const encoded = file.path.split('/').map(encodeURIComponent).join('/');
      const query = `${encodeURIComponent(exchange.url.pathname)}=&etag=%22${file.oid}%22`;
      const location = `/api/resolve-cache/models/${org}/${name}/${commit}/${encoded}?${query}`;
      return this.#end(exchange, 307, { ...headers, etag: `"${file.oid}"`, location }, 'Temporary Redirect.');
    }
    const linked = {
      'x-linked-size': file.source.size,
      'x-linked-etag': `"${file.sha256}"`,
      'x-xet-hash': xetHash(file),
    };
    this.#end(exchange, 302, { ...headers, ...linked, location: this.#signed(file) }, 'Found.');
  }

  #signed(file: HubFile): string {
    const url = new URL(`/xet-bridge-us/${file.oid.slice(0, 24)}/${xetHash(file)}`, this.origins.cdn);
    const expires = String(Math.ceil(Date.now() / 1000) + (this.#options.signatureSeconds ?? 3600));
    url.searchParams.set('response-content-disposition', disposition(file));
    url.searchParams.set('Expires', expires);
    url.searchParams.set('Signature', this.#sign(url.pathname, expires));
    url.searchParams.set('Key-Pair-Id', 'K2L8F4GPSG1IFC');
    return url.href;
  }

  #sign(path: string, expires: string): string {
    return createHmac('sha256', this.#secret).update(`${path} ${expires}`).digest('base64url');
  }

  async #sendLarge(exchange: Exchange, cors: OutgoingHttpHeaders): Promise<void> {
    const { url } = exchange;
    const expires = url.searchParams.get('Expires') ?? '';
    const signed = url.searchParams.get('Signature') === this.#sign(url.pathname, expires);
    const file = this.#onCDN.get(url.pathname.slice(url.pathname.lastIndexOf('/') + 1));
    if (!signed || !file || Number(expires) * 1000 < Date.now()) {
      const denied = '<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>';
      return this.#end(exchange, 403, { ...cors, 'content-type': 'application/xml' }, denied);
    }
    const headers = { ...cors, 'content-type': 'application/octet-stream', 'x-cache': 'Hit from cloudfront' };
    // Sixty-four digits as well, but not the file's sha256.
    await this.#send(exchange, file, xetHash(file), headers);
  }

  async #sendSmall(exchange: Exchange, cors: OutgoingHttpHeaders): Promise<void> {
    const [, , , , org, name, commit = '', ...rest] = exchange.url.pathname.split('/').map(decodeURIComponent);
    const file = this.#commit(`${org}/${name}`, commit).files.get(rest.join('/'));
    if (!file) throw new Refusal(404, 'EntryNotFound', 'Entry not found');
    const headers = { ...cors, 'content-type': 'text/plain; charset=utf-8', 'x-repo-commit': commit };
    await this.#send(exchange, file, file.oid, headers);
  }

  async #send({ message, reply, request, faults }: Exchange, file: HubFile, tag: string, headers: OutgoingHttpHeaders) {
    const named = { ...headers, 'content-disposition': disposition(file) };
    await sendBytes(file.source, message.headers, reply, { etag: `"${tag}"`, headers: named, request, faults });
  }

  async #api({ message, reply, url, request, faults }: Exchange, cors: OutgoingHttpHeaders): Promise<void> {
    const parts = /^\/api\/models\/([^/]+\/[^/]+)\/(tree|revision)\/([^/]+)$/.exec(url.pathname);
    const [, id = '', call, revision = ''] = parts ?? [];
    if (!parts) throw new Refusal(404, 'NotFound', 'Sorry, we could not find what you are looking for.');
    const found = this.#commit(id, decodeURIComponent(revision));
    const { body, headers = {} } =
      call === 'tree' ? treePage(found.files, url, this.#options.pageSize ?? 1000) : modelInfo(found);
    const bytes = Buffer.from(JSON.stringify(body));
    const all = { ...cors, ...headers, 'content-type': 'application/json; charset=utf-8' };
    const etag = `W/"${createHash('sha1').update(bytes).digest('base64url')}"`;
    const source = {
      size: bytes.length,
      async *read(start: number, end: number) {
        yield bytes.subarray(start, end);
      },
    };
    await sendBytes(source, message.headers, reply, { etag, headers: all, request, faults });
  }
}

function disposition({ path }: HubFile): string {
  const name = path.slice(path.lastIndexOf('/') + 1);
  return `inline; filename*=UTF-8''${encodeURIComponent(name)}; filename="${name}";`;
}

/** What the CDN calls a file: a hash of its own kind. */
function xetHash({ sha256 }: HubFile): string {
  return createHash('sha256').update(`xet ${sha256}`).digest('hex');
}
