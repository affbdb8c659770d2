import { yieldToEvents } from '../../src/async/yield-to-events.ts';
import type { ModelFile } from '../../src/protocol/model-spec.ts';
import {
  endError,
  fetchFile,
  hashError,
  newRetries,
  NoRanges,
  readNext,
  sizeError,
  withConnection,
} from './fetch-file.ts';
import { rangeOf as segmentRange, SEGMENT_BYTES } from '../../src/storage/journal.ts';
import type { PartFile } from './part-file.ts';

/** Connections for one file. Two files are downloaded at a time, and browsers open six connections to a host. */
const CONNECTIONS = 3;

/** The most that one request asks for, in segments. */
const MAX_RUN = 64;

/**
 * The browser's cache would keep a second copy. Chromium's also breaks off some of several ranges of one file that are asked
 * for at once.
 */
const cache = 'no-store';

/** What a download needs besides its file. */
export interface DownloadOptions {
  /** Called with the number of bytes that have just arrived, and at first with those that were there. */
  onBytes: (count: number) => void;
  signal: AbortSignal;
}

/**
 * Downloads what is missing of a file, over several connections, and hashes it. A connection that fails is replaced, with
 * growing pauses. What is whole stays when it ends early.
 *
 * A server that ignores or refuses ranges, or gives them of another file than before (another ETag), gets one plain request
 * for the whole file. So does one whose ranges add up to a wrong hash.
 *
 * @throws NearsightError `load_failed`, `integrity`; DOMException `QuotaExceededError`; the signal's reason
 */
export async function download(part: PartFile, options: DownloadOptions): Promise<void> {
  const { file, segments } = part;
  const progress = countUp(part.storedBytes, options.onBytes);
  const isPieced = segments > 1;
  if (isPieced) {
    try {
      await downloadRanges(part, progress, options.signal);
      if ((await hashAll(part)) === file.sha256) return;
    } catch (error) {
      if (!(error instanceof NoRanges)) throw error;
    }
  } else if (part.isDone(0) && (await hashAll(part)) === file.sha256) return;
  await downloadWhole(part, progress, options.signal);
  const digest = await hashAll(part);
  if (digest === file.sha256) return;
  part.reset();
  throw hashError(file, digest);
}

/** Counts bytes that arrive. Those that were lost and arrive again are not counted twice. */
interface Progress {
  add(bytes: number): void;
}

function countUp(stored: number, onBytes: (count: number) => void): Progress {
  let current = 0;
  let reported = 0;
  const add = (bytes: number): void => {
    current += bytes;
    if (current > reported) onBytes(current - reported);
    reported = Math.max(reported, current);
  };
  add(stored);
  return { add };
}

async function hashAll(part: PartFile): Promise<string> {
  while (part.hashNext()) await yieldToEvents();
  return part.digest();
}

/** Segments `from` to `end - 1`, which are asked for at once. */
interface Run {
  from: number;
  end: number;
}

function missingRuns(part: PartFile): Run[] {
  const missing = Array.from({ length: part.segments }, (_, segment) => segment).filter((each) => !part.isDone(each));
  const length = Math.min(MAX_RUN, Math.ceil(missing.length / CONNECTIONS));
  const runs: Run[] = [];
  for (const segment of missing) {
    const last = runs.at(-1);
    if (last?.end === segment && last.end - last.from < length) last.end++;
    else runs.push({ from: segment, end: segment + 1 });
  }
  return runs;
}

async function downloadRanges(part: PartFile, progress: Progress, signal: AbortSignal): Promise<void> {
  const failed = new AbortController();
  const until = AbortSignal.any([signal, failed.signal]);
  const runs = missingRuns(part);
  const connect = async (): Promise<void> => {
    const retries = newRetries();
    for (let run = runs.shift(); run; run = runs.shift()) {
      const current = run;
      const onSegment = (segment: number): void => {
        current.from = segment + 1;
        retries.reset();
      };
      const attempt = async (): Promise<void> => {
        if (current.from < current.end) await fetchRun(part, current, { progress, signal: until, onSegment });
      };
      await retries.run(attempt, until);
    }
  };
  const connections = Array.from({ length: CONNECTIONS }, connect);
  try {
    await Promise.all(connections);
  } catch (error) {
    failed.abort(error);
    // Until the others have ended they might still write.
    await Promise.allSettled(connections);
    throw error;
  }
}

/** Fetches a run. `onSegment` moves `run.from` on with each segment that is whole. */
async function fetchRun(part: PartFile, run: Run, receipt: Omit<Receipt, 'first' | 'last'>): Promise<void> {
  const { first } = segmentRange(part.file.bytes, run.from);
  const { last } = segmentRange(part.file.bytes, run.end - 1);
  await withConnection(receipt.signal, async (signal) => {
    const body = await rangeOf(part, first, last, signal);
    await receive(part, body, { ...receipt, signal, first, last });
  });
}

async function rangeOf(
  part: PartFile,
  first: number,
  last: number,
  signal: AbortSignal,
): Promise<ReadableStream<Uint8Array>> {
  const { file } = part;
  const { response, body } = await fetchFile(file, signal, { cache, headers: { range: `bytes=${first}-${last}` } });
  const etag = response.headers.get('etag');
  part.etag ??= etag;
  const isSame = etag === part.etag && response.headers.get('content-range') === `bytes ${first}-${last}/${file.bytes}`;
  if (response.status !== 206 || !isSame) throw new NoRanges();
  return body;
}

interface Receipt {
  first: number;
  /** The last byte that may come. */
  last: number;
  /** The header `content-length` of a whole file. */
  length?: string | null;
  progress: Progress;
  signal: AbortSignal;
  onSegment?: (segment: number) => void;
}

/** Writes a body to its place, from the first byte of a segment on. */
async function receive(part: PartFile, body: ReadableStream<Uint8Array>, receipt: Receipt): Promise<void> {
  const { first, last, length, progress, signal, onSegment } = receipt;
  const reader = body.getReader();
  let at = first;
  /** Bytes of a segment that is not whole yet. */
  let pending = 0;
  try {
    while (at <= last) {
      const { done, value } = await readNext(part.file, reader, at, signal);
      if (done) throw endError(part.file, at, length);
      if (at + value.length - 1 > last) throw sizeError(part.file, 'more');
      part.write(value, at);
      at += value.length;
      pending += value.length;
      progress.add(value.length);
      for (
        let end = endOfSegment(part, at - pending);
        end <= at && pending > 0;
        end = endOfSegment(part, at - pending)
      ) {
        const segment = Math.floor((end - 1) / SEGMENT_BYTES);
        part.finish(segment);
        onSegment?.(segment);
        pending = at - end;
        part.hashNext();
      }
    }
  } catch (error) {
    progress.add(-pending);
    throw error;
  }
}

function endOfSegment(part: PartFile, at: number): number {
  return Math.min((Math.floor(at / SEGMENT_BYTES) + 1) * SEGMENT_BYTES, part.file.bytes);
}

/** Whether a whole file's header `content-length` shows that it is not this file. */
function isOtherLength({ bytes }: ModelFile, length: number, { type, headers }: Response): boolean {
  // Of a compressed file it is the compressed length, and other origins do not tell whether a file is.
  if (type !== 'cors' && headers.get('content-encoding') === null) return length !== bytes;
  // What cannot be compressed gets 0.03 % longer by gzip, and a header.
  return length > bytes * 1.001 + 64;
}

/** Fetches the whole file over one connection, each time from its start. */
async function downloadWhole(part: PartFile, progress: Progress, signal: AbortSignal): Promise<void> {
  const restart = (): void => {
    progress.add(-part.storedBytes);
    part.reset();
  };
  const attempt = async (until: AbortSignal): Promise<void> => {
    const { response, body } = await fetchFile(part.file, until, { cache });
    const length = response.headers.get('content-length');
    if (length !== null && isOtherLength(part.file, Number(length), response)) throw sizeError(part.file, length);
    // Not before: the answer of a captive portal would discard what is downloaded.
    restart();
    part.etag = response.headers.get('etag');
    await receive(part, body, { first: 0, last: part.file.bytes - 1, length, progress, signal: until });
  };
  await newRetries().run(() => withConnection(signal, attempt), signal);
}
