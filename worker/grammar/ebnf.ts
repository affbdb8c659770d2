import { GrammarError, type ByteMachine } from './byte-machine.ts';
import { CompileClock } from './compile-clock.ts';
import { EbnfParser } from './ebnf-parser.ts';
import { removeLeftRecursion } from './left-recursion.ts';
import { buildNfa, END } from './nfa.ts';
import { pruneNfa, refuseLeftRecursion } from './nfa-checks.ts';
import { NfaMachine, type NfaState } from './nfa-machine.ts';

const MAX_LENGTH = 65_536;
const MAX_RULES = 2000;

/**
 * A machine for the texts of a grammar's rule `root`. They are valid UTF-8. Where calls are nested a thousand deep, a further
 * one cannot come.
 *
 * @throws GrammarError if the grammar is malformed or too large, if a rule matches no text, or if a rule calls itself after
 *   nothing but what may be empty. Also from `transition`, if too much would have to be kept apart
 */
export function compileEbnf(source: string, clock = new CompileClock()): ByteMachine<NfaState> {
  if (source.length > MAX_LENGTH) throw new GrammarError(`Longer than ${MAX_LENGTH} characters`);
  const { rules } = new EbnfParser(source);
  if (rules.size > MAX_RULES) throw new GrammarError(`More than ${MAX_RULES} rules`);
  const nfa = buildNfa(removeLeftRecursion(rules, clock), clock);
  const [endless] = pruneNfa(nfa);
  if (endless !== undefined) throw new GrammarError(`No text matches the rule "${endless}": it cannot come to an end`);
  refuseLeftRecursion(nfa);
  return new NfaMachine(nfa, nfa.starts.get('root') ?? END);
}
