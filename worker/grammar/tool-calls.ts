import type { CallableTool, NamedSchema, TextConstraint } from '../../src/protocol/job.ts';
import { TOOL_CALL } from '../../src/protocol/tool-call.ts';
import { choice, EMPTY, repeat, rule, type Rules, sequence, text } from './build-expression.ts';
import { type ByteMachine, GrammarError } from './byte-machine.ts';
import { CompileClock } from './compile-clock.ts';
import { codePoints, complement } from './code-points.ts';
import type { Expression } from './expression.ts';
import { COMMON } from './json-text.ts';
import { noValue, schemaRules } from './json-schema.ts';
import { buildNfa, END } from './nfa.ts';
import { pruneNfa, refuseLeftRecursion } from './nfa-checks.ts';
import { NfaMachine, type NfaState } from './nfa-machine.ts';

/** A small model that has begun to call tools may find no end. */
const MOST_CALLS = 16;

type Tools = Extract<TextConstraint, { type: 'tools' }>;

/**
 * A machine for texts that call tools, with arguments that are valid under the tools' schemas.
 *
 * @throws GrammarError with the field of the tool whose schema cannot be enforced
 */
export function compileToolCalls(
  { tools, required, parallel, otherwise }: Tools,
  clock = new CompileClock(),
): ByteMachine<NfaState> {
  const call = rule('call');
  const more = sequence(text(TOOL_CALL.between + TOOL_CALL.begin), call);
  const calls = sequence(call, repeat(more, 0, parallel ? MOST_CALLS - 1 : 0));
  const onlyCalls = sequence(text(TOOL_CALL.begin), rule('calls'));
  const free = required || otherwise ? [] : textBefore(TOOL_CALL.begin, rule('calls'));
  const schemas = new Map<string, NamedSchema>(tools.map((tool, index) => [argumentsOf(index), tool]));
  if (otherwise && !required) schemas.set('otherwise', otherwise);
  const root = required ? onlyCalls : otherwise ? choice(onlyCalls, rule('otherwise')) : rule('text 0');
  const nfa = buildNfa(
    new Map([
      ['root', root],
      ['calls', calls],
      ...free,
      ['call', sequence(text(TOOL_CALL.name), choice(...tools.map(nameAndArguments)), text(TOOL_CALL.end))],
      ...[...schemas].flatMap(([name, schema]) => [...rulesOf(name, schema, clock)]),
      ...COMMON,
    ]),
    clock,
  );
  const empty = new Set(pruneNfa(nfa));
  for (const [name, { param }] of schemas) {
    if (empty.has(name)) throw new GrammarError(noValue().message, { param });
  }
  refuseLeftRecursion(nfa);
  return new NfaMachine(nfa, nfa.starts.get('root') ?? END);
}

/** The calls of a whole text. */
export function callsIn(whole: string): { name: string; arguments: unknown }[] {
  const [, ...calls] = whole.split(`${TOOL_CALL.begin}\n`);
  return calls.map((lines) => JSON.parse(lines.slice(0, lines.indexOf('\n'))));
}

function argumentsOf(index: number): string {
  return `tool ${index}`;
}

function nameAndArguments({ name }: CallableTool, index: number): Expression {
  return sequence(text(name + TOOL_CALL.arguments), rule(argumentsOf(index)));
}

function rulesOf(name: string, { schema, param }: NamedSchema, clock: CompileClock): Rules {
  try {
    const { root, rules } = schemaRules(schema, clock, `${name} `);
    return new Map([[name, root], ...rules]);
  } catch (error) {
    if (error instanceof GrammarError) throw new GrammarError(error.message, { param, cause: error });
    throw error;
  }
}

/**
 * Any text; or any text up to the first `mark`, and what follows it. A rule for each beginning of the mark that the text so
 * far may end with. Only the first character of the mark may be its first: a beginning that does not go on is then followed
 * by a new one or by none.
 */
function textBefore(mark: string, follows: Expression): Rules {
  const letters = Array.from(mark);
  const others = (known: readonly string[]): Expression => {
    const points = known.map((letter) => letter.codePointAt(0) ?? 0);
    return { kind: 'class', set: complement(codePoints(points.map((point) => [point, point]))) };
  };
  const [first = ''] = letters;
  const name = (matched: number): string => `text ${matched}`;
  return new Map(
    letters.map((letter, matched) => {
      const options = [
        EMPTY,
        sequence(text(letter), matched + 1 < letters.length ? rule(name(matched + 1)) : follows),
        sequence(others([letter, first]), rule(name(0))),
      ];
      if (matched > 0) options.push(sequence(text(first), rule(name(1))));
      return [name(matched), choice(...options)];
    }),
  );
}
