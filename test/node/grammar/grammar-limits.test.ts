/** Expressions, grammars and schemas that are small, but could cost much: each is either cheap or refused. */
import { cpuUsage } from 'node:process';
import { describe, expect, test, vi } from 'vitest';
import { GrammarError, type ByteMachine } from '../../../worker/grammar/byte-machine.ts';
import { CompileClock } from '../../../worker/grammar/compile-clock.ts';
import { compileEbnf } from '../../../worker/grammar/ebnf.ts';
import { compileJsonSchema } from '../../../worker/grammar/json-schema.ts';
import { compileRegex } from '../../../worker/grammar/regex.ts';
import { compileToolCalls } from '../../../worker/grammar/tool-calls.ts';
import { pick, xorshift } from '../../random.ts';
import { accepts, after } from './walk.ts';

/**
 * Most take less than 100 ms on an idle core, the slowest 0.7 s; a cold start, garbage collection and a slow machine take time
 * too. What grows too fast takes minutes.
 */
const CPU_MS = 4000;

const encoder = new TextEncoder();

function cpuMs<T>(action: () => T): { result: T; ms: number } {
  const start = cpuUsage();
  const result = action();
  const { user, system } = cpuUsage(start);
  return { result, ms: (user + system) / 1000 };
}

/** Compiles and reads a text: no step may take long. Errors end it. */
function readInTime<State>(compile: () => ByteMachine<State>, text: string): string | boolean {
  const attempt = <T>(action: () => T) => {
    const { result, ms } = cpuMs(() => {
      try {
        return action();
      } catch (error) {
        if (error instanceof GrammarError) return error;
        throw error;
      }
    });
    expect(ms).toBeLessThan(CPU_MS);
    return result;
  };
  const machine = attempt(compile);
  if (machine instanceof GrammarError) return machine.message;
  let state = machine.initial;
  for (const byte of encoder.encode(text)) {
    const next = attempt(() => machine.transition(state, byte));
    if (next instanceof GrammarError) return next.message;
    state = next;
  }
  return machine.viable(state);
}

const TOO_LARGE = 'Too large: its automaton, with all repeats written out, has more than 100000 states';
const TOO_AMBIGUOUS = 'Too ambiguous: a single byte can be read in too many ways';
const words = Array.from({ length: 1500 }, (_, index) => `w${index}`).join('|');
const nested = (count: number) => `${'('.repeat(count)}a${')*'.repeat(count)}`;

/** Whether the text is viable, or the message of the refusal. */
const REGEXES: readonly [source: string, text: string, outcome: string | boolean][] = [
  ['(a{1000}){1000}', '', TOO_LARGE],
  ['(((a{10000}){10000}){10000}){10000}', '', TOO_LARGE],
  ['(((){10000}){10000}){10000}', '', TOO_LARGE],
  ['.{10000}', '', TOO_LARGE],
  ['(((a*)*)*)*b', `${'a'.repeat(1000)}b`, true],
  ['(a|aa)*(a|a)*b', 'a'.repeat(1000), true],
  ['(x+x+)+y', 'x'.repeat(1000), true],
  ['.*.*.*.*.*x', 'a'.repeat(1000), true],
  ['(.*a){50}', 'a'.repeat(300), true],
  ['.*a.{2000}', 'a'.repeat(100), true],
  ['(a?){5000}', 'aaa', true],
  ['(a?){9000}', 'aaa', TOO_AMBIGUOUS],
  ['((((a?){10}){10}){10})*b', 'a'.repeat(100), true],
  ['[^a]{3000}', '漢'.repeat(100), true],
  [words, 'w1499', true],
  [nested(200), 'a'.repeat(100), true],
  [nested(201), '', 'More than 200 nested groups, at position 200'],
  ['('.repeat(9000), '', 'More than 200 nested groups, at position 200'],
  ['a'.repeat(10_001), '', 'Longer than 10000 characters'],
];

/** Rules that each start with all of them. */
function leftRecursive(count: number): string {
  const names = Array.from({ length: count }, (_, index) => `r${index}`);
  return `root ::= r0\n${names.map((name) => `${name} ::= ${names.join(' "a" | ')} | "x"`).join('\n')}`;
}

/** Rules that each say how the next one is called, so that a text of the last is one of each. */
function chain(length: number, rule: (next: string) => string, last: string): string {
  const rules = Array.from(
    { length },
    (_, index) => `r${index} ::= ${index === length - 1 ? last : rule(`r${index + 1}`)}`,
  );
  return `root ::= r0\n${rules.join('\n')}`;
}

const GRAMMARS: readonly [title: string, source: string, text: string, outcome: string | boolean][] = [
  ['exponentially many stacks', 'root ::= "x" root root | "x"', 'x'.repeat(500), true],
  ['repeated recursion', 'root ::= ("x" root)*', 'x'.repeat(500), true],
  ['ambiguous recursion', 'root ::= ("x" | "xx" | "xxx") root? ("x" | "y" root)?', 'x'.repeat(300), true],
  [
    'three ways to nest',
    'root ::= "x" root "a" | "x" root "b" | "x" root "c" root | "x"',
    `${'x'.repeat(301)}${'ab'.repeat(150)}`,
    true,
  ],
  ['a stack of 1000', 'root ::= "[" root "]" | ""', '['.repeat(1000), true],
  ['a deeper stack', 'root ::= "[" root "]" | ""', '['.repeat(1001), false],
  ['a chain of calls', chain(60, (next) => `${next} "a" | ${next} "b" | ${next}`, '"x"'), `x${'ab'.repeat(20)}`, true],
  ['a long chain', chain(1000, (next) => `${next} "a" | ${next} "b" r0 | "y"`, '"x"'), 'xaab', true],
  ['a chain of optional calls', chain(40, (next) => `${next} ${next} ${next}`, '"x"?'), 'xxx', TOO_AMBIGUOUS],
  ['a chain of repeated calls', chain(300, (next) => `${next}? ${next} ${next}*`, '"x"'), 'xxx', TOO_AMBIGUOUS],
  ['nested repeats of calls', 'root ::= (a{0,100}){0,100}\na ::= "x" a? | "y"', 'xyx', true],
  ['rules that start with each other', leftRecursive(3), 'xaa', true],
  ['many of them', leftRecursive(60), '', 'The left recursion of the rule "r3" is too complex'],
  [
    'a ring of rules',
    chain(1990, (next) => `${next} | "y"`, 'r0 | "x"'),
    '',
    'The left recursion of the rule "r1989" is too complex',
  ],
  ['a long list', `root ::= ${Array.from({ length: 4000 }, (_, index) => `"w${index}"`).join(' | ')}`, 'w3999', true],
  ['many rules', chain(2000, (next) => next, '"x"'), '', 'More than 2000 rules'],
  [
    'many alternatives that lead to a long chain',
    `${chain(1200, (next) => `${next} | "q"`, '"x"').replace('root ::= r0', '')}\nroot ::= ${Array(6500).fill('r0').join('|')}`,
    'x',
    true,
  ],
  [
    'blanks in a repeat',
    `root ::= "a"{1,${' '.repeat(60_000)}`,
    '',
    'A repeat has the form {2}, {2,} or {2,3}, at line 1, column 13',
  ],
  ['large repeats', 'root ::= (("a" root?){1000}){1000}', '', TOO_LARGE],
  ['nested groups', `root ::= ${'('.repeat(5000)}`, '', 'More than 200 nested groups, at line 1, column 210'],
  ['a long source', `root ::= "${'a'.repeat(65_536)}"`, '', 'Longer than 65536 characters'],
];

test.each(REGEXES.map((row) => [row[0].slice(0, 40), ...row] as const))('%s', (_, source, text, outcome) => {
  expect(readInTime(() => compileRegex(source), text)).toBe(outcome);
});

test.each(GRAMMARS)('%s', (_, source, text, outcome) => {
  expect(readInTime(() => compileEbnf(source), text)).toBe(outcome);
});

const random = xorshift(15);
const letters = (count: number): string => Array.from({ length: count }, () => pick(random, ['a', 'b'])).join('');
const list = <T>(length: number, item: (index: number) => T): T[] => Array.from({ length }, (_, index) => item(index));
const objectOf = <T>(length: number, value: T): Record<string, T> =>
  Object.fromEntries(list(length, (index) => [`p${index}`, value]));
const tools = (schemaOf: (index: number) => unknown) => ({
  type: 'tools' as const,
  param: 'tools',
  required: true,
  parallel: true,
  tools: list(128, (index) => ({ name: `f${index}`, param: `tools[${index}]`, schema: schemaOf(index) })),
});
const manyAtOnce = list(120, (index) => `(?!.{${index}}a.{${index % 7}}b)`).join('');

const kinds = { type: 'object', properties: objectOf(300, true), required: list(300, (index) => `p${index}`) };

/** Those whose cost is not limited by their size, beyond what the deadline allows. */
const SLOW: readonly [title: string, compile: (clock: CompileClock) => unknown][] = [
  [
    'long alternatives that rules take over',
    (clock) => {
      const tail = 'b '.repeat(400);
      const rules = list(28, (at) => `r${at} ::= r${(at + 27) % 28} ${tail}|r${(at + 1) % 28} ${tail}|"y"`);
      return compileEbnf(`root ::= r0\nb ::= "b"\n${rules.join('\n')}`, clock);
    },
  ],
  ['repeats of nothing', (clock) => compileEbnf(`root ::= (${'"a"{0}'.repeat(9000)}){10000}`, clock)],
  ['all that must hold at once', (clock) => compileRegex(`${manyAtOnce}[ab]*`, clock)],
  [
    'an ambiguous pattern and a long value',
    (clock) => compileJsonSchema({ enum: [letters(60_000)], pattern: '^[ab]*a[ab]{2000}$' }, clock),
  ],
  [
    'patterns of values',
    (clock) => compileJsonSchema({ enum: list(900, () => letters(60)), pattern: 'a[ab]{30}$' }, clock),
  ],
  [
    'many options with many properties',
    (clock) => {
      const option = (kind: number) => ({
        $ref: '#/$defs/base',
        properties: { kind: { const: kind } },
        required: ['kind'],
      });
      return compileJsonSchema({ oneOf: list(300, option), $defs: { base: kinds } }, clock);
    },
  ],
  [
    'tools of which each takes long',
    (clock) => {
      const pattern = (index: number): string => `^(?=.*a)(?=.*b)(?=.*c).{0,5${index % 10}}$`;
      return compileToolCalls(
        tools((index) => ({ type: 'string', pattern: pattern(index) })),
        clock,
      );
    },
  ],
];

test.each(SLOW)('%s: the deadline ends it', (_title, compile) => {
  const { result, ms } = cpuMs(() => {
    try {
      return compile(new CompileClock(100));
    } catch (error) {
      return error;
    }
  });
  expect(result).toBeInstanceOf(GrammarError);
  expect(String(result)).toContain('Too slow: to compile it takes longer than the limit of 0.1 s');
  expect(ms).toBeLessThan(CPU_MS);
});

test('past the deadline, the error names the tool that is compiled', () => {
  // Time goes on by a millisecond with each look at the clock, so that the first tools take none of it.
  let now = 0;
  using clock = vi.spyOn(performance, 'now').mockImplementation(() => now++);
  const compile = (): unknown =>
    compileToolCalls(
      tools((index) => ({ type: 'string', pattern: index === 3 ? `^${manyAtOnce}[ab]*$` : '^x$' })),
      new CompileClock(300),
    );
  expect(compile).toThrow(expect.objectContaining({ param: 'tools[3]', message: expect.stringContaining('Too slow') }));
  expect(clock).toHaveBeenCalled();
});

/** Schemas whose parts are compared or combined, and the message of their refusal. */
const SCHEMAS: readonly [title: string, schema: unknown, refusal: string | undefined][] = [
  [
    'values of two options',
    { oneOf: [{ enum: list(4500, (index) => [[index]]) }, { enum: list(4500, (index) => [[-1 - index]]) }] },
    undefined,
  ],
  [
    'two unions that must both hold',
    { allOf: [{ anyOf: list(5000, () => ({})) }, { anyOf: list(4999, () => ({})) }] },
    "'anyOf' at # cannot be enforced: two schemas that must both hold have it with different values",
  ],
  [
    'required names that begin alike',
    { type: 'object', required: list(9000, (index) => `a${index}`), additionalProperties: { type: 'null' } },
    "'properties' at # cannot be enforced: there are more than 1000",
  ],
  ['a value and a format', { enum: [`http://${'a'.repeat(60_000)}!`], format: 'url' }, undefined],
];

test.each(SCHEMAS)('a schema with %s', (_title, schema, refusal) => {
  const compiled = readInTime(() => compileJsonSchema(schema), '');
  expect(compiled).toBe(refusal ?? true);
});

test('128 tools with ordinary schemas compile', () => {
  const properties = (index: number): unknown => ({
    [`query_${index}`]: { type: 'string' },
    [`limit_of_${index}`]: { type: 'integer', minimum: 1, maximum: 100 },
    include_closed: { type: 'boolean' },
    state: { type: 'string', enum: ['open', 'closed', 'all', 'created', 'updated'] },
    labels: { type: 'array', items: { type: 'string' } },
    [`not_before_${index}`]: { type: ['string', 'null'], format: 'date-time' },
  });
  const machine = compileToolCalls(
    tools((index) => ({ type: 'object', properties: properties(index), additionalProperties: false })),
  );
  const text = '<tool_call>\n{"name": "f127", "arguments": {"limit_of_127": 7, "state": "all"}}\n</tool_call>';
  expect(accepts(machine, text)).toBe(true);
});

describe('a machine with more states than it keeps', () => {
  test('accepts the same texts, also from states that it has dropped', () => {
    // Each of the 2^16 ways to write the last 16 characters is a state.
    const machine = compileRegex('[ab]*a[ab]{15}');
    const early = after(machine, encoder.encode('abba'));
    const random = xorshift(1);
    const text = Array.from({ length: 60_000 }, () => pick(random, 'ab'.split(''))).join('');
    let state = machine.initial;
    for (const [at, byte] of encoder.encode(text).entries()) {
      state = machine.transition(state, byte);
      if (machine.accepting(state) !== (text[at - 15] === 'a')) throw new Error(`wrong after ${at + 1} characters`);
    }
    for (const rest of ['', 'ab'.repeat(6), 'ab'.repeat(7), `${'ab'.repeat(7)}a`]) {
      let at = early;
      for (const byte of encoder.encode(rest)) at = machine.transition(at, byte);
      expect(machine.accepting(at), rest).toBe(accepts(machine, `abba${rest}`));
    }
  });
});
