/** What the page's relative URLs are relative to; undefined on a server. */
export function pageURL(): string | undefined {
  return globalThis.document?.baseURI ?? globalThis.location?.href;
}

/** A URL as `fetch` would resolve it; undefined if it cannot be parsed. */
export function resolveURL(url: string | URL): URL | undefined {
  return URL.canParse(url, pageURL()) ? new URL(url, pageURL()) : undefined;
}
