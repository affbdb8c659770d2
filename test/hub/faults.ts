/** What a request is for: the API, `/resolve/` (a redirect), the hub's cache of small files, or the CDN's large files. */
export type Hop = 'api' | 'resolve' | 'cache' | 'cdn';

/** A request that arrived, in the order of arrival. */
export interface HubRequest {
  /** Requests before a CORS request that needs permission are `preflight`. */
  hop: Hop | 'preflight' | 'unknown';
  method: string;
  /** Of the URL, without the query: `/org/name/resolve/main/config.json`. */
  path: string;
  /** The path within the repository, where the request is for a file. */
  file: string | undefined;
  range: string | undefined;
  origin: string | undefined;
  /** All headers, for tests of what is never sent. */
  headers: Readonly<Record<string, string | string[] | undefined>>;
  /** 0 until the server answers. */
  status: number;
  /** Bytes of the body that were written so far. */
  bytes: number;
  /** In milliseconds since 1970. */
  at: number;
}

/** One thing that goes wrong. Faults that match the same request add up. */
export type FaultKind =
  /** The connection breaks after that many bytes of the body. */
  | { kind: 'cut'; after: number }
  /** That many bytes arrive, then nothing, with the connection open. */
  | { kind: 'stall'; after: number }
  /** That many bytes arrive every so many milliseconds. */
  | { kind: 'drip'; bytes: number; every: number }
  /** @param retryAfter the header `retry-after`: seconds, or a date */
  | { kind: 'status'; status: number; retryAfter?: number | string }
  /** The whole file with 200, whatever range was asked for. */
  | { kind: 'ignore-range' }
  /** 416 to every range. */
  | { kind: 'refuse-range' }
  /** The right bytes, under a Content-Range that starts so many bytes later. */
  | { kind: 'wrong-content-range'; by: number }
  /** The right Content-Range, over bytes from so many bytes later. */
  | { kind: 'shifted-range'; by: number }
  | { kind: 'flip-bit'; byte: number; bit?: number }
  /** A page with 200 in place of the file, as captive portals answer. */
  | { kind: 'html' }
  /** `/resolve/` redirects to itself. */
  | { kind: 'redirect-loop' }
  /** No CORS header allows the page to read the response. */
  | { kind: 'no-cors' }
  /** Another ETag than before; a new one at each request. */
  | { kind: 'new-etag' }
  /** The file ends at that size, and every header says so. */
  | { kind: 'truncate'; size: number }
  /** The file goes on for so many bytes, and every header says so. */
  | { kind: 'append'; bytes: number }
  | { kind: 'content-type'; type: string }
  /** Whole files come compressed, with the compressed length. CORS hides that they are. */
  | { kind: 'gzip' }
  /** The response starts so many milliseconds late. */
  | { kind: 'delay'; milliseconds: number };

/** Which requests a fault spoils, and how. */
export type Fault = FaultKind & {
  /** A path within the repository, or for the API the URL's path; or a pattern in either. @defaultValue all */
  path?: string | RegExp;
  /**
   * Where. @defaultValue `resolve` for a redirect loop, else where the bytes come from: the API, the hub's cache, the CDN
   */
  hop?: Hop;
  /** Spoils only this one of the requests that match, counted from 1. */
  nth?: number;
  /** Spoils that many of the requests that match. @defaultValue all */
  times?: number;
};

/** The faults in force, and how often each met a request. */
export class Faults {
  readonly #faults = new Map<Fault, number>();

  /** @returns ends the fault */
  add(fault: Fault): () => void {
    // A copy, so that the same object may be added twice.
    const own = { ...fault };
    this.#faults.set(own, 0);
    return () => void this.#faults.delete(own);
  }

  clear(): void {
    this.#faults.clear();
  }

  /** The faults that spoil this request. Counts it. */
  meet({ hop, file, path }: HubRequest): FaultKind[] {
    return [...this.#faults].flatMap(([fault, count]) => {
      if (!concerns(fault, hop, file ?? path)) return [];
      const number = count + 1;
      this.#faults.set(fault, number);
      const meant = fault.nth === undefined ? number <= (fault.times ?? Infinity) : number === fault.nth;
      return meant ? [fault] : [];
    });
  }
}

function concerns(fault: Fault, hop: HubRequest['hop'], path: string): boolean {
  const where = fault.hop ?? (fault.kind === 'redirect-loop' ? 'resolve' : undefined);
  if (where === undefined ? !['api', 'cache', 'cdn'].includes(hop) : hop !== where) return false;
  if (fault.path === undefined) return true;
  return typeof fault.path === 'string' ? fault.path === path : fault.path.test(path);
}

/** The fault of this kind, if there is one. */
export function find<Kind extends FaultKind['kind']>(faults: readonly FaultKind[], kind: Kind) {
  return faults.find((fault): fault is Extract<FaultKind, { kind: Kind }> => fault.kind === kind);
}
