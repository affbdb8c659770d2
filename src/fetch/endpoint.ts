/** What a path on an owned origin leads to. */
export interface Endpoint {
  name: 'chat' | 'models' | 'ready' | 'live';
  /** The model that the path names: one entry of the list, or the target of NVIDIA's per-model addresses. */
  model?: string | undefined;
}

/** The paths below a server's address, or below any `/v1`. */
const CHAT = /^(?:.*\/v1)?(?:\/gr\/([^/]+\/[^/]+))?\/chat\/completions$/;
const VLM = /^(?:.*\/v1)?\/vlm\/([^/]+\/[^/]+)$/;
const MODELS = /^(?:.*\/v1)?\/models(?:\/(.+))?$/;
const HEALTH = /^(?:.*\/v1)?\/health\/(?:(ready)|live)$/;

/**
 * Whether one of `intercept` covers the URL; if so, its path, without doubled or trailing slashes, below that address.
 *
 * @param intercept origins or URL prefixes; relative ones are resolved as `fetch` would
 */
export function interceptedPath(url: URL, intercept: readonly (string | URL)[]): string | undefined {
  const path = tidy(url.pathname);
  for (const owned of intercept) {
    // On a server a path of the page's own is no address, and nobody can ask for it.
    if (!URL.canParse(owned, baseURL())) continue;
    const prefix = new URL(owned, baseURL());
    const below = tidy(prefix.pathname);
    // A `blob:` URL has the origin of its page, and is none of ours.
    const same = url.protocol === prefix.protocol && url.host === prefix.host;
    if (same && `${path}/`.startsWith(`${below}/`)) return path.slice(below.length);
  }
  return undefined;
}

/** Whether `fetch`'s first argument is a Request: of any window, because `fetch` takes those of others, too. */
export function isRequest(input: RequestInfo | URL): input is Request {
  return Object.prototype.toString.call(input) === '[object Request]';
}

/** The URL that `fetch` would go to; absent where `fetch` would throw. */
export function targetURL(input: RequestInfo | URL): URL | undefined {
  const target = isRequest(input) ? input.url : input;
  const base = baseURL();
  return URL.canParse(target, base) ? new URL(target, base) : undefined;
}

/** @param paths the path below the owned address, then the whole one */
export function findEndpoint(...paths: readonly string[]): Endpoint | undefined {
  for (const path of paths) {
    const chat = CHAT.exec(path) ?? VLM.exec(path);
    if (chat) return { name: 'chat', model: decode(chat[1]) };
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

function tidy(path: string): string {
  return path.replace(/\/+/g, '/').replace(/\/$/, '');
}

function baseURL(): string | undefined {
  return globalThis.document?.baseURI ?? globalThis.location?.href;
}
