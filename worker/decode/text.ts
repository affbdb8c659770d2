import type { TokenLogprob } from '../../src/wire/job.ts';

/** A piece of the answer that may be shown: nothing that comes later can take it back. */
export interface Piece {
  text: string;
  /** The entries of the tokens whose text is now complete, if there are any. */
  logprobs: TokenLogprob[];
}

/**
 * Turns tokens' bytes into text: whole characters only, and without the stop strings, which may begin in one token and
 * end in another. Text that could be the beginning of a stop string is withheld until it is known not to be.
 */
export class TextAssembler {
  /** True once a stop string has come. */
  stopped = false;
  readonly #stop: readonly string[];
  // Models may begin with a byte order mark like with any other character, so it is kept.
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  #withheld = '';
  /** Entries not yet given out, with the place in the whole text at which their token's text begins and ends. */
  #entries: { start: number; end: number; entry: TokenLogprob }[] = [];
  #given = 0;

  constructor(stop: readonly string[]) {
    this.#stop = stop;
  }

  /** Takes a token's bytes, and its log probabilities if they are wanted. */
  push(bytes: Uint8Array, entry?: TokenLogprob): Piece {
    const start = this.#given + this.#withheld.length;
    this.#withheld += this.#decoder.decode(bytes, { stream: true });
    if (entry) this.#entries.push({ start, end: this.#given + this.#withheld.length, entry });
    const found = firstOf(this.#withheld, this.#stop);
    if (found < 0) return this.#give(this.#withheld.length - openEnd(this.#withheld, this.#stop));
    this.stopped = true;
    const piece = this.#give(found);
    // A token that began before the stop string was partly shown; those after it never were.
    piece.logprobs.push(...this.#entries.filter((held) => held.start < this.#given).map((held) => held.entry));
    this.#entries = [];
    this.#withheld = '';
    return piece;
  }

  /** What was withheld, when no more tokens come. An unfinished character is dropped. */
  finish(): Piece {
    const piece = this.#give(this.#withheld.length);
    piece.logprobs.push(...this.#entries.map((held) => held.entry));
    this.#entries = [];
    return piece;
  }

  #give(length: number): Piece {
    const text = this.#withheld.slice(0, length);
    this.#withheld = this.#withheld.slice(length);
    this.#given += length;
    const done = this.#entries.findIndex(({ end }) => end > this.#given);
    const given = this.#entries.splice(0, done < 0 ? this.#entries.length : done);
    return { text, logprobs: given.map(({ entry }) => entry) };
  }
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
