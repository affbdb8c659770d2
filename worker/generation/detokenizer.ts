import type { TokenLogprob } from '../../src/protocol/job.ts';

/** A piece of the answer's text. It is final: no later token can change it. */
export interface TextPiece {
  text: string;
  /** The entries of the tokens whose text is complete with this piece. */
  logprobs: TokenLogprob[];
}

/** A token's log probability, and those of the likeliest tokens. */
export type Scores = Pick<TokenLogprob, 'logprob' | 'top'>;

/**
 * Turns tokens' bytes into text: whole characters only, and without stop strings, which may start in one token and end in
 * another. Text that could be the start of a stop string is withheld until it is known not to be.
 *
 * Log probability entries match the text: their tokens, joined, are equal to it, and so are their bytes. If a stop string
 * starts within a token, its entry is cut as well. A token after a stop string has no entry. A character that spans several
 * tokens is in the entry of the last of them.
 */
export class Detokenizer {
  /** True once a stop string was found. */
  stopped = false;
  readonly #stop: readonly string[];
  readonly #includeStop: boolean;
  /** Offset in the answer up to which stop strings may end without effect. */
  #stopAfter = 0;
  // Both decode the same bytes, in different pieces. Byte order marks are kept: models may generate them as characters.
  readonly #text = new TextDecoder('utf-8', { ignoreBOM: true });
  readonly #tokens = new TextDecoder('utf-8', { ignoreBOM: true });
  /** Bytes that are not emitted yet, as {@link binary}. */
  #withheld = '';
  /** Entries that are not emitted yet, with the offset of their first byte in the answer. */
  #entries: { start: number; entry: TokenLogprob }[] = [];
  /** Number of bytes emitted. */
  #emitted = 0;

  /** @param includeStop whether the stop string that is found is part of the text */
  constructor(stop: readonly string[], includeStop = false) {
    this.#includeStop = includeStop;
    this.#stop = stop.map((text) => binary(new TextEncoder().encode(text)));
  }

  /**
   * Adds a token's bytes, and its log probabilities if they were requested.
   *
   * @param mayStop false: a stop string that is complete now has no effect
   */
  push(bytes: Uint8Array, scores?: Scores, mayStop = true): TextPiece {
    const start = this.#emitted + this.#withheld.length;
    this.#withheld += binary(bytes);
    if (scores) this.#entries.push({ start, entry: { token: '', bytes: [...bytes], ...scores } });
    if (!mayStop) this.#stopAfter = this.#emitted + this.#withheld.length;
    const found = firstOf(this.#stop, this.#withheld, this.#stopAfter - this.#emitted);
    if (!found) return this.#emit(this.#withheld.length - openEnd(this.#withheld, this.#stop));
    this.stopped = true;
    return this.#end(this.#includeStop ? found.end : found.start);
  }

  /** The withheld text, after the last token. An unfinished character is dropped. */
  finish(): TextPiece {
    return this.#end(this.#withheld.length);
  }

  /** Emits the whole characters within the first `limit` withheld bytes. */
  #emit(limit: number): TextPiece {
    const length = limit - unfinished(this.#withheld.slice(0, limit));
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; at++) bytes[at] = this.#withheld.charCodeAt(at);
    this.#withheld = this.#withheld.slice(length);
    this.#emitted += length;
    const incomplete = this.#entries.findIndex(({ start, entry }) => start + entry.bytes.length > this.#emitted);
    const complete = this.#entries.splice(0, incomplete < 0 ? this.#entries.length : incomplete);
    return {
      text: this.#text.decode(bytes, { stream: true }),
      logprobs: complete.map(({ entry }) => this.#withText(entry)),
    };
  }

  /** Emits the last piece, from the first `limit` withheld bytes. The rest is dropped. */
  #end(limit: number): TextPiece {
    const { text, logprobs } = this.#emit(limit);
    const [cut] = this.#entries;
    const length = cut ? this.#emitted - cut.start : 0;
    if (cut && length > 0) logprobs.push(this.#withText(cut.entry, length));
    return { text, logprobs };
  }

  /** Adds the text to an entry, cut to `length` bytes. Must be called for all entries in order. */
  #withText(entry: TokenLogprob, length?: number): TokenLogprob {
    const bytes = entry.bytes.slice(0, length);
    return { ...entry, bytes, token: this.#tokens.decode(Uint8Array.from(bytes), { stream: true }) };
  }
}

/** Bytes as characters from U+0000 to U+00FF, which can be searched like text. */
function binary(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** Length of an incomplete character at the end of `text`. */
function unfinished(text: string): number {
  return /(?:[\xc0-\xf7]|[\xe0-\xf7][\x80-\xbf]|[\xf0-\xf7][\x80-\xbf]{2})$/.exec(text)?.[0].length ?? 0;
}

/** Where the first of the strings to be complete in `text` is, or the longest of those; only if it ends beyond `after`. */
function firstOf(strings: readonly string[], text: string, after: number): { start: number; end: number } | undefined {
  const found = strings
    .map((string) => ({ string, start: text.indexOf(string, after + 1 - string.length) }))
    .filter(({ start }) => start >= 0)
    .map(({ string, start }) => ({ start, end: start + string.length }));
  return found.sort((a, b) => a.end - b.end || a.start - b.start)[0];
}

/** Length of the longest suffix of `text` that is a prefix of one of the strings. */
function openEnd(text: string, strings: readonly string[]): number {
  const longest = Math.max(0, ...strings.map(({ length }) => length - 1));
  for (let length = Math.min(longest, text.length); length > 0; length--) {
    const end = text.slice(-length);
    if (strings.some((string) => string.startsWith(end))) return length;
  }
  return 0;
}
