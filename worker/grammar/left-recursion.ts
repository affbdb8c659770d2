import { GrammarError } from './byte-machine.ts';
import { choice, sequence, type Expression } from './expression.ts';

/** The limit on alternatives that one rule takes over from others. */
const MAX_ADDED = 1000;

/**
 * Rewrites rules that start with themselves, also by way of others (Paull's algorithm), to rules with the same texts:
 * `a ::= a x | y` becomes `a ::= y a'` and `a' ::= x*`. What is behind something that may be empty is left as it is.
 */
export function removeLeftRecursion(rules: ReadonlyMap<string, Expression>): Map<string, Expression> {
  const result = new Map(rules);
  const done = new Set<string>();
  for (const name of rules.keys()) {
    const rests: Expression[] = [];
    const others: Expression[] = [];
    for (const option of expanded(name, result, done)) {
      const [first, ...rest] = partsOf(option);
      if (first?.kind === 'rule' && first.name === name) rests.push(sequence(rest));
      else others.push(option);
    }
    if (rests.length > 0) {
      // No name that a grammar can have.
      const helper: Expression = { kind: 'rule', name: `${name}'` };
      result.set(helper.name, { kind: 'repeat', part: choice(rests), min: 0, max: Infinity });
      result.set(name, choice(others.map((option) => sequence([option, helper]))));
    }
    done.add(name);
  }
  return result;
}

/** The alternatives of a rule. Rules that come before it and lead back to it are replaced by what they stand for. */
function expanded(name: string, rules: ReadonlyMap<string, Expression>, done: ReadonlySet<string>): Expression[] {
  const options: Expression[] = [];
  const pending = [...optionsOf(rules.get(name))];
  const limit = pending.length + MAX_ADDED;
  for (const option of pending) {
    if (pending.length > limit) throw new GrammarError(`The left recursion of the rule "${name}" is too complex`);
    const [first, ...rest] = partsOf(option);
    const rule = first?.kind === 'rule' && done.has(first.name) ? rules.get(first.name) : undefined;
    const replaced = first?.kind === 'choice' ? first : rule;
    if (replaced && leadsTo(leadingRules(option), name, rules)) {
      pending.push(...optionsOf(replaced).map((start) => sequence([start, ...rest])));
    } else {
      options.push(option);
    }
  }
  return options;
}

function leadsTo(from: readonly string[], name: string, rules: ReadonlyMap<string, Expression>): boolean {
  const reached = new Set(from);
  for (const rule of reached) {
    if (rule === name) return true;
    for (const next of leadingRules(rules.get(rule))) reached.add(next);
  }
  return false;
}

/** The rules that an expression can start with, apart from those behind something that may be empty. */
function leadingRules(expression: Expression | undefined): string[] {
  if (expression?.kind === 'rule') return [expression.name];
  if (expression?.kind === 'choice') return expression.options.flatMap(leadingRules);
  return expression?.kind === 'sequence' ? leadingRules(expression.parts[0]) : [];
}

function optionsOf(expression: Expression | undefined): readonly Expression[] {
  if (!expression) return [];
  return expression.kind === 'choice' ? expression.options : [expression];
}

function partsOf(expression: Expression): readonly Expression[] {
  return expression.kind === 'sequence' ? expression.parts : [expression];
}
