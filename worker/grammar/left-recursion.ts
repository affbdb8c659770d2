import { GrammarError } from './byte-machine.ts';
import type { CompileClock } from './compile-clock.ts';
import { choice, sequence, type Expression } from './expression.ts';

/** The limit on alternatives that one rule takes over from others. */
const MAX_ADDED = 1000;

/**
 * Rewrites rules that start with themselves, also by way of others (Paull's algorithm), to rules with the same texts:
 * `a ::= a x | y` becomes `a ::= y a'` and `a' ::= x*`. What is after something that may be empty is left as it is.
 */
export function removeLeftRecursion(
  rules: ReadonlyMap<string, Expression>,
  clock: CompileClock,
): ReadonlyMap<string, Expression> {
  return new Rewriter(rules, clock).result;
}

class Rewriter {
  readonly result: Map<string, Expression>;
  readonly #clock: CompileClock;
  /** By rule, the rules that can start with it. */
  readonly #starting = new Map<string, Set<string>>();
  readonly #done = new Set<string>();

  constructor(rules: ReadonlyMap<string, Expression>, clock: CompileClock) {
    this.result = new Map(rules);
    this.#clock = clock;
    for (const [name, body] of rules) this.#start(name, body);
    for (const name of rules.keys()) {
      this.#rewrite(name);
      this.#done.add(name);
    }
  }

  #rewrite(name: string): void {
    const rests: Expression[] = [];
    const others: Expression[] = [];
    for (const option of this.#expanded(name)) {
      const [first, ...rest] = partsOf(option);
      this.#clock.spend(rest.length);
      if (first?.kind === 'rule' && first.name === name) rests.push(sequence(rest));
      else others.push(option);
    }
    if (rests.length === 0) return;
    // No name that a grammar can have.
    const helper: Expression = { kind: 'rule', name: `${name}'` };
    this.result.set(helper.name, { kind: 'repeat', part: choice(rests), min: 0, max: Infinity });
    const body = choice(others.map((option) => sequence([option, helper])));
    this.result.set(name, body);
    for (const rules of this.#starting.values()) rules.delete(name);
    this.#start(name, body);
  }

  /** The alternatives of a rule. Rules that come before it and lead back to it are replaced by what they stand for. */
  #expanded(name: string): Expression[] {
    let leading: ReadonlySet<string> | undefined;
    const options: Expression[] = [];
    const pending = [...optionsOf(this.result.get(name))];
    const limit = pending.length + MAX_ADDED;
    for (const option of pending) {
      if (pending.length > limit) throw new GrammarError(`The left recursion of the rule "${name}" is too complex`);
      const [first, ...rest] = partsOf(option);
      this.#clock.spend(1 + rest.length);
      const rule = first?.kind === 'rule' && this.#done.has(first.name) ? this.result.get(first.name) : undefined;
      const replaced = first?.kind === 'choice' ? first : rule;
      if (replaced && this.#startsWith(option, (leading ??= this.#leadingTo(name)))) {
        for (const start of optionsOf(replaced)) {
          this.#clock.spend(rest.length);
          pending.push(sequence([start, ...rest]));
        }
      } else {
        options.push(option);
      }
    }
    return options;
  }

  /** The rules that can start with a rule, also by way of others. */
  #leadingTo(name: string): ReadonlySet<string> {
    const found = new Set(this.#starting.get(name));
    for (const rule of found) {
      for (const starting of this.#starting.get(rule) ?? []) {
        this.#clock.spend();
        found.add(starting);
      }
    }
    return found;
  }

  #start(name: string, body: Expression): void {
    for (const first of leadingRules(body)) {
      this.#clock.spend();
      const rules = this.#starting.get(first) ?? new Set();
      this.#starting.set(first, rules.add(name));
    }
  }

  /** Whether an expression can start with one of these rules. */
  #startsWith(expression: Expression | undefined, rules: ReadonlySet<string>): boolean {
    this.#clock.spend();
    if (expression?.kind === 'rule') return rules.has(expression.name);
    if (expression?.kind === 'choice') return expression.options.some((option) => this.#startsWith(option, rules));
    return expression?.kind === 'sequence' && this.#startsWith(expression.parts[0], rules);
  }
}

/** The rules that an expression can start with, apart from those after something that may be empty. */
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
