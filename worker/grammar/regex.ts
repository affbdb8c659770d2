import { GrammarError, type ByteMachine } from './byte-machine.ts';
import { CompileClock } from './compile-clock.ts';
import type { CodePoints } from './code-points.ts';
import type { Expression } from './expression.ts';
import { hasLookahead, rulesOfLookahead } from './lookahead.ts';
import { buildNfa, END } from './nfa.ts';
import { pruneNfa } from './nfa-checks.ts';
import { NfaMachine, type NfaState } from './nfa-machine.ts';
import { parseRegex } from './regex-parser.ts';

const MAX_LENGTH = 10_000;
const plain = (set: CodePoints): Expression => ({ kind: 'class', set });

/**
 * A machine for the texts that a regular expression matches as a whole, with ECMAScript's meaning under the flag `u`. They
 * are valid UTF-8.
 *
 * @throws GrammarError if the expression is malformed, too large, not regular, or matches no text
 */
export function compileRegex(source: string, clock = new CompileClock()): ByteMachine<NfaState> {
  if (source.length > MAX_LENGTH) throw new GrammarError(`Longer than ${MAX_LENGTH} characters`);
  return machineOf(parseRegex(source), clock);
}

/** @throws GrammarError if it is too large, or matches no text */
export function machineOf(expression: Expression, clock: CompileClock): ByteMachine<NfaState> {
  const rules = hasLookahead(expression)
    ? rulesOfLookahead(expression, { prefix: 'regex', letter: plain, clock })
    : new Map([['regex', expression]]);
  const nfa = buildNfa(rules, clock);
  const [first = ''] = rules.keys();
  if (pruneNfa(nfa).includes(first)) throw new GrammarError('No text matches the expression');
  return new NfaMachine(nfa, nfa.starts.get(first) ?? END);
}
