import { resolveURL } from '../bytes/page-url.ts';

/** What is served at an intercepted path. */
export interface Endpoint {
  name: 'chat' | 'models' | 'ready' | 'live';
  /** The model that the path names: one of the list, or that of NVIDIA's per-model paths. */
  model?: string | undefined;
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
    // By the host, because the origin of a `blob:` URL is that of its page.
    const same = url.protocol === prefix.protocol && url.host === prefix.host;
    if (same && `${path}/`.startsWith(`${below}/`)) return path.slice(below.length);
  }
  return undefined;
}

/** Whether `fetch`'s first argument is a Request. Not by `instanceof`: `fetch` accepts those of other windows, too. */
export function isRequest(input: RequestInfo | URL): input is Request {
  return Object.prototype.toString.call(input) === '[object Request]';
}

/** The URL that `fetch` would request; undefined where `fetch` would throw. */
export function targetURL(input: RequestInfo | URL): URL | undefined {
  return resolveURL(isRequest(input) ? input.url : input);
}

/** @param paths the path below the intercepted prefix, then the whole one */
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
