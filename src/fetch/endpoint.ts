import { className } from '../bytes/class-name.ts';
import { resolveURL } from '../bytes/page-url.ts';

/** What is served at an intercepted path. */
export interface Endpoint {
  name: 'chat' | 'models' | 'ready' | 'live';
  /** The model that the path names: one of the list, or that of NVIDIA's per-model paths. */
  model?: string | undefined;
  /** One of NVIDIA's per-model paths, whose samples send images as `<img>` tags. */
  perModel?: boolean;
}

/** Paths below a server's root, or below any `/v1`. */
const CHAT = /^(?:.*\/v1)?(?:\/gr\/([^/]+\/[^/]+))?\/chat\/completions$/;
const VLM = /^(?:.*\/v1)?\/vlm\/([^/]+\/[^/]+)$/;
const MODELS = /^(?:.*\/v1)?\/models(?:\/(.+))?$/;
const HEALTH = /^(?:.*\/v1)?\/health\/(?:(ready)|live)$/;

/**
 * The path of an intercepted URL below the prefix that matches, without doubled or trailing slashes; undefined for other
 * URLs.
 *
 * @param intercept origins or URL prefixes; relative ones are resolved as `fetch` would
 */
export function interceptedPath(url: URL, intercept: readonly (string | URL)[]): string | undefined {
  const path = tidy(url.pathname);
  for (const entry of intercept) {
    // A relative path matches nothing on a server, where there is no page to resolve it against.
    const prefix = resolveURL(entry);
    if (!prefix) continue;
    const below = tidy(prefix.pathname);
    const anyPort = URL.canParse(String(entry)) && !isLoopback(prefix) && prefix.port === '';
    if (isSameServer(url, prefix) && (anyPort || url.port === prefix.port) && `${path}/`.startsWith(`${below}/`))
      return path.slice(below.length);
  }
  return undefined;
}

/**
 * Whether two URLs are of the same host, however they are spelt: an image must not leave the device because of an
 * `http:`, a name or password, or dots after the host. Nor because of a port, except of the page's own host and of this
 * machine, whose ports are other programs.
 */
function isSameServer(url: URL, prefix: URL): boolean {
  const sameScheme = url.protocol === prefix.protocol || (isHttp(url) && isHttp(prefix));
  return sameScheme && host(url) === host(prefix);
}

function isLoopback(url: URL): boolean {
  return /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/.test(host(url));
}

function isHttp({ protocol }: URL): boolean {
  return protocol === 'http:' || protocol === 'https:';
}

function host({ hostname }: URL): string {
  // An IPv4 address in the form of IPv6. As one number, a URL writes it with dots again.
  const [, high, low] = /^\[::ffff:([0-9a-f]+):([0-9a-f]+)\]$/.exec(hostname) ?? [];
  if (high && low) return new URL(`http://${parseInt(high, 16) * 65_536 + parseInt(low, 16)}`).hostname;
  return hostname.replace(/\.+$/, '');
}

/** Whether `fetch`'s first argument is a Request, of this window or another, or of a subclass with its own name. */
export function isRequest(input: RequestInfo | URL): input is Request {
  return input instanceof Request || className(input) === 'Request';
}

/** The URL that `fetch` would request; undefined where `fetch` would throw. */
export function targetURL(input: RequestInfo | URL): URL | undefined {
  return resolveURL(isRequest(input) ? input.url : input);
}

/** @param paths the path below the intercepted prefix, then the whole one */
export function findEndpoint(...paths: readonly string[]): Endpoint | undefined {
  for (const path of paths) {
    const chat = CHAT.exec(path) ?? VLM.exec(path);
    if (chat) return { name: 'chat', model: decode(chat[1]), perModel: chat[1] !== undefined };
    const models = MODELS.exec(path);
    if (models) return { name: 'models', model: decode(models[1]) };
    const health = HEALTH.exec(path);
    if (health) return { name: health[1] ? 'ready' : 'live' };
  }
  return undefined;
}

/** SDKs escape the slash in a model's name. */
function decode(name: string | undefined): string | undefined {
  return name?.replace(/%2f/gi, '/');
}

/** Without doubled slashes, one at the end, and escapes that mean the same as the character. */
function tidy(path: string): string {
  const unescaped = path.replace(/%[2-7][0-9a-f]/gi, (escape) => {
    const character = decodeURIComponent(escape);
    return /[\w.~-]/.test(character) ? character : escape;
  });
  return unescaped.replace(/\/+/g, '/').replace(/\/$/, '');
}
