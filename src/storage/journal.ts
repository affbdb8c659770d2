/** A download is kept in segments of this size: after an interruption, those that are whole are not fetched again. */
export const SEGMENT_BYTES = 1 << 18;

/** What follows a file's bytes while it is incomplete: JSON. */
export interface Journal {
  /** The server's ETag, which must not change between segments. */
  etag: string | null;
  /** A digit for each segment: 1 if all its bytes are written. */
  done: string;
}

/** How many segments a file has. */
export function segmentsOf(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / SEGMENT_BYTES));
}

export function emptyJournal(bytes: number): Journal {
  return { etag: null, done: '0'.repeat(segmentsOf(bytes)) };
}

/**
 * Reads a journal. A partial file without a readable one has nothing that could be kept, unless it has exactly its bytes: it
 * was sealed, and a crash came before it got its final name. Then its hash will tell.
 *
 * @param bytes of the whole file
 * @param size of the partial file
 * @param text what follows `bytes`
 */
export function parseJournal(bytes: number, size: number, text: string): Journal {
  if (size === bytes) return { etag: null, done: '1'.repeat(segmentsOf(bytes)) };
  try {
    const journal = JSON.parse(text) as Journal;
    if (journal.done.length === segmentsOf(bytes)) return journal;
  } catch {
    // Torn, or not there yet.
  }
  return emptyJournal(bytes);
}

/** The first and the last byte of a segment. */
export function rangeOf(bytes: number, segment: number): { first: number; last: number } {
  const first = segment * SEGMENT_BYTES;
  return { first, last: Math.min(first + SEGMENT_BYTES, bytes) - 1 };
}

/** Bytes in segments that are whole. */
export function bytesDone(bytes: number, { done }: Journal): number {
  let sum = 0;
  for (let segment = 0; segment < done.length; segment++) {
    const { first, last } = rangeOf(bytes, segment);
    if (done[segment] === '1') sum += last - first + 1;
  }
  return sum;
}
