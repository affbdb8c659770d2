import { expect } from 'vitest';
import { GrammarError } from '../../../worker/grammar/byte-machine.ts';
import { compileEbnf } from '../../../worker/grammar/ebnf.ts';
import { integer, pick, xorshift, type Random } from '../../random.ts';
import { accepts, isViable, mutated, randomString, randomText } from './walk.ts';

/** A grammar as the generator makes it, apart from the library's own expressions. */
type Part =
  | { kind: 'text'; text: string }
  | { kind: 'set'; chars: readonly string[]; negated: boolean }
  | { kind: 'all' | 'any'; parts: readonly Part[] }
  | { kind: 'times'; part: Part; min: number; max: number }
  | { kind: 'call'; rule: number };

const CHARS = ['a', 'b', 'c', '"', '\\', '\n', 'é', '漢', '😀'];
const ALPHABET = [...CHARS, 'd', ' ', '😁'];
const NAMES = ['root', 'item', 'other-rule', 'rule_3', 'Last.1'];

function generate(random: Random, rules: number, depth: number): Part {
  const kind = integer(random, depth > 0 ? 12 : 6);
  if (kind < 2) return { kind: 'text', text: randomString(random, CHARS, 3) };
  if (kind === 2) {
    const chars = Array.from({ length: 1 + integer(random, 3) }, () => pick(random, CHARS));
    return { kind: 'set', chars, negated: random() < 0.3 };
  }
  if (kind < 6) return { kind: 'call', rule: integer(random, rules) };
  if (kind < 8) return { kind: 'times', part: generate(random, rules, depth - 1), ...counts(random) };
  const parts = Array.from({ length: 1 + integer(random, 3) }, () => generate(random, rules, depth - 1));
  return { kind: kind < 10 ? 'all' : 'any', parts };
}

function counts(random: Random): { min: number; max: number } {
  const min = integer(random, 3);
  return { min, max: random() < 0.5 ? Infinity : min + integer(random, 2) };
}

/**
 * The body of a rule. One alternative calls nothing, so that few are refused.
 *
 * @param plain how many of the others start with a character, which prevents left recursion
 */
function body(random: Random, rules: number, plain: number): Part {
  const option = (): Part => {
    const first: Part = random() < plain ? { kind: 'text', text: pick(random, CHARS) } : generate(random, rules, 1);
    return { kind: 'all', parts: [first, generate(random, rules, 2), generate(random, rules, 1)] };
  };
  const last: Part = random() < 0.9 ? { kind: 'text', text: randomString(random, CHARS, 2) } : option();
  return { kind: 'any', parts: [...Array.from({ length: 1 + integer(random, 2) }, option), last] };
}

function escaped(text: string, inClass: boolean): string {
  return Array.from(text)
    .map((char) => {
      if (char === '\n') return '\\n';
      if (char === '"' && !inClass) return '\\"';
      return char === '\\' ? '\\\\' : char;
    })
    .join('');
}

function written(part: Part): string {
  switch (part.kind) {
    case 'text':
      return `"${escaped(part.text, false)}"`;
    case 'set':
      return `[${part.negated ? '^' : ''}${escaped(part.chars.join(''), true)}]`;
    case 'all':
      return `(${part.parts.map(written).join(' ')})`;
    case 'any':
      return `(${part.parts.map(written).join(' | ')})`;
    case 'times': {
      const { min, max } = part;
      const inner = written(part.part);
      if (max === Infinity && min < 2) return inner + '*+'[min];
      if (min === 0 && max === 1) return `${inner}?`;
      return `${inner}{${min}${max === Infinity ? ',' : max === min ? '' : `,${max}`}}`;
    }
    case 'call':
      return NAMES[part.rule] ?? '';
  }
}

/**
 * Recognises by computing where each rule can end from each start until nothing is new: slow, but evidently right.
 *
 * @param prefix whether it is enough that the text can be completed: then anything is found at its end, since every part of
 *   the grammar has a text
 */
function recognises(rules: readonly Part[], text: string, prefix = false): boolean {
  const points = Array.from(text);
  const ends = new Map<string, Set<number>>();
  let changed = true;
  const has = (at: number, fits: (char: string) => boolean) => {
    const char = points[at];
    return char === undefined ? prefix : fits(char);
  };
  const moved = (starts: Iterable<number>, by: number) =>
    new Set([...starts].map((at) => Math.min(at + by, points.length)));
  const from = (part: Part, starts: ReadonlySet<number>): Set<number> => {
    switch (part.kind) {
      case 'text': {
        const wanted = Array.from(part.text);
        const found = [...starts].filter((at) => wanted.every((char, index) => has(at + index, (it) => it === char)));
        return moved(found, wanted.length);
      }
      case 'set': {
        const found = [...starts].filter((at) => has(at, (char) => part.chars.includes(char) !== part.negated));
        return moved(found, 1);
      }
      case 'all':
        return part.parts.reduce((at, next) => from(next, at), new Set(starts));
      case 'any':
        return new Set(part.parts.flatMap((option) => [...from(option, starts)]));
      case 'times': {
        const reached = new Set(part.min === 0 ? starts : []);
        let at: ReadonlySet<number> = starts;
        // More rounds than there are positions reach nothing new.
        for (let round = 1; round <= Math.min(part.max, part.min + points.length + 1); round++) {
          at = from(part.part, at);
          if (round >= part.min) for (const end of at) reached.add(end);
        }
        return reached;
      }
      case 'call':
        return new Set([...starts].flatMap((start) => [...called(part.rule, start)]));
    }
  };
  const called = (rule: number, start: number): Set<number> => {
    if (prefix && start === points.length) return new Set([start]);
    const key = `${rule} ${start}`;
    const known = ends.get(key);
    if (known) return known;
    changed = true;
    ends.set(key, new Set());
    return new Set();
  };
  called(0, 0);
  while (changed) {
    changed = false;
    for (const [key, known] of ends) {
      const [rule = 0, start = 0] = key.split(' ').map(Number);
      for (const end of from(rules[rule]!, new Set([start]))) {
        if (!known.has(end)) changed = true;
        known.add(end);
      }
    }
  }
  return called(0, 0).has(points.length);
}

/** The length of the shortest text of each rule: Infinity if it has none. */
function shortestTexts(rules: readonly Part[]): number[] {
  const lengths = rules.map(() => Infinity);
  const shortest = (part: Part): number => {
    switch (part.kind) {
      case 'text':
        return part.text.length;
      case 'set':
        return 1;
      case 'all':
        return part.parts.reduce((sum, inner) => sum + shortest(inner), 0);
      case 'any':
        return Math.min(...part.parts.map(shortest));
      case 'times':
        return part.min === 0 ? 0 : part.min * shortest(part.part);
      case 'call':
        return lengths[part.rule] ?? Infinity;
    }
  };
  for (let round = 0; round <= rules.length; round++) {
    for (const [rule, part] of rules.entries()) lengths[rule] = shortest(part);
  }
  return lengths;
}

/** Whether a rule can call itself before any character, with all rules that have texts. */
function isLeftRecursive(rules: readonly Part[], lengths: readonly number[]): boolean {
  const nullable = (part: Part): boolean => {
    if (part.kind === 'all') return part.parts.every(nullable);
    if (part.kind === 'any') return part.parts.some(nullable);
    if (part.kind === 'times') return part.min === 0 || nullable(part.part);
    if (part.kind === 'call') return lengths[part.rule] === 0;
    return part.kind === 'text' && part.text === '';
  };
  const firsts = (part: Part): number[] => {
    if (part.kind === 'call') return [part.rule];
    if (part.kind === 'times') return part.max === 0 ? [] : firsts(part.part);
    if (part.kind === 'any') return part.parts.flatMap(firsts);
    if (part.kind !== 'all') return [];
    const end = part.parts.findIndex((inner) => !nullable(inner));
    return part.parts.slice(0, end < 0 ? undefined : end + 1).flatMap(firsts);
  };
  return rules.some((_, rule) => {
    const reached = new Set(firsts(rules[rule]!));
    for (const other of reached) for (const next of firsts(rules[other]!)) reached.add(next);
    return reached.has(rule);
  });
}

/**
 * Compares machines of generated grammars with a recogniser.
 *
 * @returns how many were compared; the others were refused, for a reason that is checked
 */
export function compareGrammars(seeds: Iterable<number>): number {
  let compared = 0;
  for (const seed of seeds) {
    const random = xorshift(seed * 7919 + 1);
    const count = 1 + integer(random, NAMES.length);
    const plain = pick(random, [0.9, 0.6, 0.3]);
    const rules = Array.from({ length: count }, () => body(random, count, plain));
    const source = rules.map((part, rule) => `${NAMES[rule]} ::= ${written(part)}\n`).join('');
    const where = `seed ${seed}:\n${source}`;
    let machine;
    try {
      machine = compileEbnf(source);
    } catch (error) {
      const lengths = shortestTexts(rules);
      expect(error, where).toBeInstanceOf(GrammarError);
      expect(String(error), where).toMatch(/No text matches|Left recursion/);
      const endless = String(error).includes('No text matches');
      expect(endless ? lengths.includes(Infinity) : isLeftRecursive(rules, lengths), `${where}${String(error)}`).toBe(
        true,
      );
      continue;
    }
    compared++;
    const strings = Array.from({ length: 10 }, () => randomString(random, ALPHABET, 5));
    for (let count = 0; count < 8; count++) {
      const given = randomText(machine, random, 8);
      if (given === undefined) continue;
      expect(recognises(rules, given), `${where} gave ${JSON.stringify(given)}`).toBe(true);
      strings.push(given, mutated(given, random, ALPHABET), mutated(given, random, ALPHABET));
    }
    for (const text of strings) {
      expect(accepts(machine, text), `${where} on ${JSON.stringify(text)}`).toBe(recognises(rules, text));
      // Of a part only, or nearly all of them would be wrong too early.
      const part = Array.from(text).slice(0, integer(random, text.length)).join('');
      expect(isViable(machine, part), `${where} after ${JSON.stringify(part)}`).toBe(recognises(rules, part, true));
    }
  }
  return compared;
}
