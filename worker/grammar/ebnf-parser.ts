import { COMMON_ESCAPES, hexadecimal, readClass, readEscape, type EscapeLetters } from './character-class.ts';
import { ANY, type CodePoints } from './code-points.ts';
import { choice, codePoint, sequence, type Expression } from './expression.ts';
import { SourceReader } from './source-reader.ts';

const COUNTS = /\{\s*(\d+)\s*(,\s*(?:(\d+)\s*)?)?\}/y;
const ESCAPES: EscapeLetters = { ...COMMON_ESCAPES, a: 0x07, b: 0x08, e: 0x1b };

/** A dot ends a name unless more of the name follows: alone, it stands for any character. */
const NAME = /[\w-]+(?:\.[\w-]+)*/y;
const RULE_START = /[\w-]+(?:\.[\w-]+)*\s*::=/y;
const BLANK = /(?:\s|#.*)+/y;

/** What is refused by name, by the character that it starts with. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  "'": 'A string in single quotes is not supported',
  '<': 'A reference to a token is not supported',
  '!': 'A reference to a token is not supported',
  '/': 'A regular expression in slashes is not supported',
  ']': 'A "]" without its "["',
  '}': 'A "}" without its "{"',
  '{': 'A repeat has the form {2}, {2,} or {2,3}',
};

/**
 * Parses a grammar in the notation that llama.cpp (GBNF) and xgrammar share. A rule ends where the next one starts, so line
 * ends mean nothing.
 */
export class EbnfParser {
  readonly rules = new Map<string, Expression>();
  readonly #reader: SourceReader;
  /** The place of the first reference to each rule. */
  readonly #references = new Map<string, number>();

  constructor(source: string) {
    this.#reader = new SourceReader(source, lineAndColumn);
    this.#blank();
    while (!this.#reader.ended) this.#rule();
    for (const [name, index] of this.#references) {
      if (!this.rules.has(name)) this.#reader.fail(`The rule "${name}" is not defined`, index);
    }
    if (!this.rules.has('root')) this.#reader.fail('There is no rule "root"');
  }

  #blank(): void {
    this.#reader.eatMatch(BLANK);
  }

  #rule(): void {
    const start = this.#reader.position;
    const name = this.#reader.eatMatch(NAME)?.[0] ?? this.#reader.fail('Expected a rule, as in: root ::= "yes" | "no"');
    this.#blank();
    if (!this.#reader.eat('::=')) this.#reader.fail(`Expected "::=" after the rule name "${name}"`);
    if (this.rules.has(name)) this.#reader.fail(`The rule "${name}" is defined twice`, start);
    this.rules.set(name, this.#choice());
    if (this.#reader.startsWith(')')) this.#reader.fail('A ")" without its "("');
  }

  #choice(): Expression {
    const options = [this.#sequence()];
    while (this.#reader.eat('|')) options.push(this.#sequence());
    return choice(options);
  }

  #sequence(): Expression {
    const reader = this.#reader;
    const parts: Expression[] = [];
    this.#blank();
    while (!reader.ended && !reader.startsWith('|') && !reader.startsWith(')') && !reader.match(RULE_START)) {
      parts.push(this.#quantified());
      this.#blank();
    }
    return sequence(parts);
  }

  #quantified(): Expression {
    const start = this.#reader.position;
    if (this.#reader.quantifier(COUNTS)) this.#reader.fail('A quantifier with nothing to repeat', start);
    let part = this.#atom();
    for (;;) {
      const end = this.#reader.position;
      this.#blank();
      const counts = this.#reader.quantifier(COUNTS);
      if (counts) part = { kind: 'repeat', part, ...counts };
      else {
        this.#reader.position = end;
        return part;
      }
    }
  }

  #atom(): Expression {
    const reader = this.#reader;
    const start = reader.position;
    const name = reader.eatMatch(NAME)?.[0];
    if (name !== undefined) {
      if (!this.#references.has(name)) this.#references.set(name, start);
      return { kind: 'rule', name };
    }
    switch (reader.take()) {
      case '"':
        return this.#string(start);
      case '[':
        return { kind: 'class', set: readClass(reader, () => this.#escape()) };
      case '.':
        return { kind: 'class', set: ANY };
      case '(':
        if (reader.startsWith('=')) reader.fail('A lookahead is not supported', start);
        return reader.nested(start, () => this.#choice());
      default: {
        reader.position = start;
        const unexpected = reader.peek();
        return reader.fail(UNSUPPORTED[unexpected] ?? `Unexpected ${JSON.stringify(unexpected)}`);
      }
    }
  }

  #string(start: number): Expression {
    const reader = this.#reader;
    const parts: Expression[] = [];
    while (!reader.eat('"')) {
      if (reader.ended || reader.match(/[\r\n]/y)) reader.fail('The string is not closed', start);
      const at = reader.position;
      const value = reader.eat('\\') ? this.#escape() : reader.takeCodePoint();
      if (typeof value !== 'number') return reader.fail('An escape for a set of characters in a string', at);
      parts.push(codePoint(value));
    }
    return sequence(parts);
  }

  #escape(): number | CodePoints {
    if (this.#reader.eat('U')) return hexadecimal(this.#reader, this.#reader.position - 2, /([\da-f]{8})/iy);
    return readEscape(this.#reader, ESCAPES);
  }
}

function lineAndColumn(source: string, index: number): string {
  const lines = source.slice(0, index).split('\n');
  return `line ${lines.length}, column ${(lines.at(-1)?.length ?? 0) + 1}`;
}
