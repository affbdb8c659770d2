import { isSafePath } from '../../src/bytes/safe-path.ts';
import { NearsightError } from '../../src/protocol/errors.ts';
import { fetchJSON, type HubAccess } from './hub-fetch.ts';
import type { HubAddress } from './hub-address.ts';

/** A file of a repository. */
export interface HubEntry {
  path: string;
  bytes: number;
  /** Of a large file's content, as its git-lfs pointer has it. */
  sha256?: string | undefined;
  /** SHA-1 of git's blob of a small file. */
  blob?: string | undefined;
}

const MOST_PAGES = 20;
const MOST_FILES = 10_000;
const PAGE_BYTES = 8 * 2 ** 20;
/** Above 4 GiB, a graph's data can neither be addressed by wasm nor be one buffer. */
const MOST_BYTES = 2 ** 32;

/** @throws NearsightError `load_failed` for a listing that is too long, or has a path, size or hash that cannot be right */
export async function listFiles(
  address: HubAddress,
  commit: string,
  access: HubAccess,
): Promise<Map<string, HubEntry>> {
  const files = new Map<string, HubEntry>();
  let next: string | undefined = address.tree(commit);
  for (let page = 0; next !== undefined; page++) {
    if (page === MOST_PAGES) throw unusable(`has more than ${MOST_PAGES} pages of files`);
    const { json, headers } = await fetchJSON(next, PAGE_BYTES, access);
    if (!Array.isArray(json)) throw unusable('is no list');
    for (const item of json) {
      const entry = readEntry(item);
      if (!entry) continue;
      if (files.has(entry.path)) throw unusable(`lists ${entry.path} twice`);
      if (files.size === MOST_FILES) throw unusable(`has more than ${MOST_FILES} files`);
      files.set(entry.path, entry);
    }
    next = nextPage(address.tree(commit), headers.get('link'));
  }
  return files;
}

function readEntry(item: unknown): HubEntry | undefined {
  const { type, path, size, oid, lfs }: Record<string, unknown> = Object(item);
  if (!isSafePath(path)) throw unusable(`names the path ${JSON.stringify(path ?? null).slice(0, 80)}`);
  if (type !== 'file') return undefined;
  const large: Record<string, unknown> | undefined = lfs ? Object(lfs) : undefined;
  const bytes = large ? large['size'] : size;
  if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < 0) {
    throw unusable(`gives ${path} the size ${String(bytes).slice(0, 40)}`);
  }
  return { path, bytes, sha256: hex(large?.['oid'], 64), blob: large ? undefined : hex(oid, 40) };
}

function hex(value: unknown, digits: number): string | undefined {
  return typeof value === 'string' && value.length === digits && /^[0-9a-f]+$/.test(value) ? value : undefined;
}

/** Refuses a file that is needed, and is larger than anything that can be loaded. */
export function checkSize({ path, bytes }: HubEntry, most = MOST_BYTES): void {
  if (bytes > 0 && bytes <= most) return;
  throw unusable(`gives ${path} ${bytes} bytes; 1 to ${most} are accepted`);
}

/** Only the query of the next page's address is used: it cannot send us to another server. */
function nextPage(tree: string, link: string | null): string | undefined {
  const found = /<([^>]+)>\s*;\s*rel="next"/.exec(link ?? '')?.[1];
  if (found === undefined || !URL.canParse(found, tree)) return undefined;
  const url = new URL(tree);
  url.search = new URL(found, tree).search;
  return url.href;
}

export function unusable(why: string): NearsightError {
  return new NearsightError('load_failed', `The repository cannot be used: its file list ${why}.`);
}
