import { GrammarError } from './byte-machine.ts';
import type { Expression } from './expression.ts';

/** Repeat counts and nesting are limited so that a short source cannot cost much time or stack. */
const MAX_COUNT = 10_000;
const MAX_NESTING = 200;

/** Reads a source from left to right. */
export class SourceReader {
  position = 0;
  readonly #source: string;
  readonly #place: (source: string, index: number) => string;
  #nesting = 0;

  /** @param place says in an error where an index is */
  constructor(source: string, place: (source: string, index: number) => string) {
    this.#source = source;
    this.#place = place;
  }

  get ended(): boolean {
    return this.position >= this.#source.length;
  }

  /** The next code point as a string, or an empty one at the end. */
  peek(): string {
    const value = this.#source.codePointAt(this.position);
    return value === undefined ? '' : String.fromCodePoint(value);
  }

  take(): string {
    const next = this.peek();
    this.position += next.length;
    return next;
  }

  /** The code point that comes next, which must exist. */
  takeCodePoint(): number {
    const value = this.take().codePointAt(0);
    return value ?? this.fail('Unexpected end');
  }

  startsWith(text: string): boolean {
    return this.#source.startsWith(text, this.position);
  }

  /** Whether a text comes next, which is then read. */
  eat(text: string): boolean {
    const found = this.startsWith(text);
    if (found) this.position += text.length;
    return found;
  }

  /** What a sticky pattern matches here, without reading it. */
  match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.position;
    return pattern.exec(this.#source);
  }

  /** What a sticky pattern matches here, which is then read. */
  eatMatch(pattern: RegExp): RegExpExecArray | null {
    const found = this.match(pattern);
    this.position += found?.[0].length ?? 0;
    return found;
  }

  /** Reads what is inside parentheses. The parser's own recursion is limited by it. */
  nested(open: number, read: () => Expression): Expression {
    if (++this.#nesting > MAX_NESTING) this.fail(`More than ${MAX_NESTING} nested groups`, open);
    const inner = read();
    if (!this.eat(')')) this.fail('The group is not closed', open);
    this.#nesting--;
    return inner;
  }

  get nesting(): number {
    return this.#nesting;
  }

  /**
   * Reads a quantifier: `*`, `+`, `?` or counts.
   *
   * @param counts a sticky pattern of counts with groups for the least, the comma and the most
   */
  quantifier(counts: RegExp): { min: number; max: number } | undefined {
    if (this.eat('*')) return { min: 0, max: Infinity };
    if (this.eat('+')) return { min: 1, max: Infinity };
    if (this.eat('?')) return { min: 0, max: 1 };
    const start = this.position;
    const found = this.eatMatch(counts);
    if (!found) return undefined;
    const [, least = '', comma, most] = found;
    const min = Number(least);
    const max = most ? Number(most) : comma ? Infinity : min;
    if (Math.max(min, most ? max : 0) > MAX_COUNT) this.fail(`More than ${MAX_COUNT} repeats`, start);
    if (max < min) this.fail('The counts of a repeat are out of order', start);
    return { min, max };
  }

  fail(what: string, index: number = this.position): never {
    throw new GrammarError(`${what}, at ${this.#place(this.#source, index)}`);
  }
}
