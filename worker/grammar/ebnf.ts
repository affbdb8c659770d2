import { GrammarError, type ByteMachine } from './byte-machine.ts';
import { EbnfParser } from './ebnf-parser.ts';
import { choice, sequence, type Expression } from './expression.ts';
import { buildNfa, END } from './nfa.ts';
import { pruneNfa, refuseLeftRecursion } from './nfa-checks.ts';
import { NfaMachine, type NfaState } from './nfa-machine.ts';

const MAX_LENGTH = 65_536;

/**
 * A machine for the texts of a grammar's rule `root`. They are valid UTF-8.
 *
 * @throws GrammarError if the grammar is malformed or too large, if a rule matches no text, or if it is left recursive and
 *   the recursion is not in the first place of its own alternatives
 */
export function compileEbnf(source: string): ByteMachine<NfaState> {
  if (source.length > MAX_LENGTH) throw new GrammarError(`Longer than ${MAX_LENGTH} characters`);
  const { rules } = new EbnfParser(source);
  const nfa = buildNfa(new Map([...rules].map(([name, body]) => [name, withoutLeftRecursion(name, body)])));
  const [endless] = pruneNfa(nfa);
  if (endless !== undefined) throw new GrammarError(`No text matches the rule "${endless}": it cannot come to an end`);
  refuseLeftRecursion(nfa);
  return new NfaMachine(nfa, nfa.starts.get('root') ?? END);
}

/** Writes `a ::= a x | y` as `a ::= y x*`, which has the same texts. */
function withoutLeftRecursion(name: string, body: Expression): Expression {
  const options = body.kind === 'choice' ? body.options : [body];
  const rests: Expression[] = [];
  const others: Expression[] = [];
  for (const option of options) {
    const [first, ...rest] = option.kind === 'sequence' ? option.parts : [option];
    if (first?.kind === 'rule' && first.name === name) rests.push(sequence(rest));
    else others.push(option);
  }
  if (rests.length === 0) return body;
  return sequence([choice(others), { kind: 'repeat', part: choice(rests), min: 0, max: Infinity }]);
}
