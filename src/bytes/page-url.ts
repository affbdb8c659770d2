/** What the page's relative URLs are relative to; undefined on a server. */
export function pageURL(): string | undefined {
  return globalThis.document?.baseURI ?? scriptURL();
}

/** A URL as `fetch` would resolve it; undefined if it cannot be parsed. */
export function resolveURL(url: string | URL): URL | undefined {
  return URL.canParse(url, pageURL()) ? new URL(url, pageURL()) : undefined;
}

/** Whether a scheme is that of the page's own files, such as `chrome-extension` or `capacitor`. */
export function isPageScheme(scheme: string): boolean {
  return scriptURL()?.startsWith(`${scheme}:`) ?? false;
}

/** Of a worker from a `blob:` URL, the page that made it: nothing can be resolved against the blob. */
function scriptURL(): string | undefined {
  return globalThis.location?.href.replace(/^blob:/, '');
}
