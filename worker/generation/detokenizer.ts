import type { TokenLogprob } from '../../src/protocol/job.ts';

/** A piece of the answer that may be shown: nothing that comes later can take it back. */
export interface TextPiece {
  text: string;
  /** The entries of the tokens whose text is now complete, if there are any. */
  logprobs: TokenLogprob[];
}

/** What the sampler says of a token. */
export type Scores = Pick<TokenLogprob, 'logprob' | 'top'>;

/**
 * Turns tokens' bytes into text: whole characters only, and without the stop strings, which may begin in one token and
 * end in another. Text that could be the beginning of a stop string is withheld until it is known not to be.
 *
 * Log probability entries agree with the text: their tokens, joined, are equal to it, and so are their bytes. A token
 * that is shown in part (because a stop string begins in it) is cut in its entry as well, one of which nothing is shown
 * has no entry, and a character that several tokens share is written in the entry of the last of them.
 */
export class Detokenizer {
  /** True once a stop string has come. */
  stopped = false;
  readonly #stop: readonly string[];
  // Both decode the same bytes, cut differently. Byte order marks are kept: models may generate them like any character.
  readonly #text = new TextDecoder('utf-8', { ignoreBOM: true });
  readonly #tokens = new TextDecoder('utf-8', { ignoreBOM: true });
  /** Bytes that have not been given out, as {@link binary}. */
  #withheld = '';
  /** Entries that have not been given out, with the place of their first byte in the whole answer. */
  #entries: { start: number; entry: TokenLogprob }[] = [];
  /** Bytes given out. */
  #given = 0;

  constructor(stop: readonly string[]) {
    this.#stop = stop.map((text) => binary(new TextEncoder().encode(text)));
  }

  /** Takes a token's bytes, and its log probabilities if they are wanted. */
  push(bytes: Uint8Array, scores?: Scores): TextPiece {
    const start = this.#given + this.#withheld.length;
    this.#withheld += binary(bytes);
    if (scores) this.#entries.push({ start, entry: { token: '', bytes: [...bytes], ...scores } });
    const found = firstOf(this.#withheld, this.#stop);
    if (found < 0) return this.#give(this.#withheld.length - openEnd(this.#withheld, this.#stop));
    this.stopped = true;
    return this.#end(found);
  }

  /** What was withheld, when no more tokens come. An unfinished character is dropped. */
  finish(): TextPiece {
    return this.#end(this.#withheld.length);
  }

  /** The characters that are whole within so many bytes. */
  #give(most: number): TextPiece {
    const length = most - unfinished(this.#withheld.slice(0, most));
    const bytes = Uint8Array.from(this.#withheld.slice(0, length), (letter) => letter.charCodeAt(0));
    this.#withheld = this.#withheld.slice(length);
    this.#given += length;
    const left = this.#entries.findIndex(({ start, entry }) => start + entry.bytes.length > this.#given);
    const given = this.#entries.splice(0, left < 0 ? this.#entries.length : left);
    return { text: this.#text.decode(bytes, { stream: true }), logprobs: given.map(({ entry }) => this.#named(entry)) };
  }

  /** The last piece, from so many bytes at most: the rest is dropped. */
  #end(most: number): TextPiece {
    const { text, logprobs } = this.#give(most);
    const [partly] = this.#entries;
    const shown = partly ? this.#given - partly.start : 0;
    if (partly && shown > 0) logprobs.push(this.#named(partly.entry, shown));
    return { text, logprobs };
  }

  /** An entry of so many bytes, with its token's text. To be called for one after the other. */
  #named(entry: TokenLogprob, length?: number): TokenLogprob {
    const bytes = entry.bytes.slice(0, length);
    return { ...entry, bytes, token: this.#tokens.decode(Uint8Array.from(bytes), { stream: true }) };
  }
}

/** Bytes as letters from U+0000 to U+00FF, which can be searched like text. */
function binary(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

/** Length of a character at the end of `text` whose last bytes have not come. */
function unfinished(text: string): number {
  return /(?:[\xc0-\xf7]|[\xe0-\xf7][\x80-\xbf]|[\xf0-\xf7][\x80-\xbf]{2})$/.exec(text)?.[0].length ?? 0;
}

/** Where the first of the strings begins in `text`, or -1. */
function firstOf(text: string, strings: readonly string[]): number {
  const places = strings.map((string) => text.indexOf(string)).filter((place) => place >= 0);
  return places.length === 0 ? -1 : Math.min(...places);
}

/** Length of the longest end of `text` that is a beginning of one of the strings. */
function openEnd(text: string, strings: readonly string[]): number {
  const longest = Math.max(0, ...strings.map(({ length }) => length - 1));
  for (let length = Math.min(longest, text.length); length > 0; length--) {
    const end = text.slice(-length);
    if (strings.some((string) => string.startsWith(end))) return length;
  }
  return 0;
}
