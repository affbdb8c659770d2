import { choice, EMPTY, rule, sequence } from './build-expression.ts';
import { GrammarError } from './byte-machine.ts';
import type { CompileClock } from './compile-clock.ts';
import { type CodePoints, codePoints } from './code-points.ts';
import type { Expression } from './expression.ts';

/** The limits on what an expression may cost here: states of its automaton, and steps to make them. */
const MOST_STATES = 4000;
const MOST_STEPS = 300_000;

/** A node of an automaton over code points, for an expression in which not all parts follow each other. */
interface Node {
  edges: readonly { set: CodePoints; to: number }[];
  epsilons: readonly number[];
  /** The first node of what must (or, if `not`, must not) match from here to the end of the text as well. */
  ahead: { start: number; not: boolean } | undefined;
}

/** The node in which the text may end. */
const END = 0;

/** Where a match can be, and what must hold for the rest of the text besides. */
interface Thread {
  node: number;
  obligations: readonly Obligation[];
}

interface Obligation {
  not: boolean;
  state: State;
}

/** All that a text so far can mean: one of the threads must match the rest. States that are the same are one object. */
interface State {
  id: number;
  /** Whether the text may end here. */
  accepting: boolean;
  threads: readonly Thread[];
  /** Where the code points start between which nothing differs, ascending. */
  starts: readonly number[];
  /** What is known of the states that follow, by code point. */
  next: Map<number, State>;
}

export interface LookaheadOptions {
  /** Of the names of the rules. */
  prefix: string;
  /** The expression of one code point of a set. */
  letter(set: CodePoints): Expression;
  clock: CompileClock;
}

/**
 * Rules for the texts that match an expression with lookaheads, which automata do not have: all that must match is followed
 * at once, by a deterministic automaton whose states are the rules.
 *
 * @returns the first rule is the whole
 * @throws GrammarError if the automaton would be too large
 */
export function rulesOfLookahead(
  expression: Expression,
  { prefix, letter, clock }: LookaheadOptions,
): ReadonlyMap<string, Expression> {
  const automaton = new Automaton(expression, clock);
  const names = new Map<State, string>();
  const waiting: State[] = [];
  const nameOf = (state: State): string => {
    const known = names.get(state);
    if (known !== undefined) return known;
    if (names.size >= MOST_STATES) throw tooLarge();
    const name = `${prefix} ${names.size}`;
    names.set(state, name);
    waiting.push(state);
    return name;
  };
  const rules = new Map<string, Expression>();
  nameOf(automaton.initial);
  for (const state of waiting) {
    const edges = automaton.edges(state).map(({ set, to }) => {
      clock.spend(set.length);
      return sequence(letter(set), rule(nameOf(to)));
    });
    rules.set(nameOf(state), choice(...(state.accepting ? [EMPTY] : []), ...edges));
  }
  return rules;
}

/** Whether an expression needs {@link rulesOfLookahead}. */
export function hasLookahead(expression: Expression): boolean {
  switch (expression.kind) {
    case 'ahead':
      return true;
    case 'sequence':
      return expression.parts.some(hasLookahead);
    case 'choice':
      return expression.options.some(hasLookahead);
    case 'repeat':
      return hasLookahead(expression.part);
    default:
      return false;
  }
}

function tooLarge(): GrammarError {
  return new GrammarError(`Too large: with all that must hold at once, it has more than ${MOST_STATES} states`);
}

class Automaton {
  readonly initial: State;
  readonly #nodes: Node[] = [];
  readonly #states = new Map<string, State>();
  /** By the first node of what must match ahead, what is reached from there. */
  readonly #aheads = new Map<number, State>();
  readonly #clock: CompileClock;
  #steps = 0;

  constructor(expression: Expression, clock: CompileClock) {
    this.#clock = clock;
    this.#add({});
    this.initial = this.#close([{ node: this.#build(expression, END), obligations: [] }]);
  }

  /** The states that follow, each with the code points that lead to it. */
  edges(state: State): { set: CodePoints; to: State }[] {
    const found = new Map<State, [number, number][]>();
    for (const [index, first] of state.starts.entries()) {
      this.#clock.spend();
      const to = this.#step(state, first);
      if (to.threads.length === 0) continue;
      const ranges = found.get(to) ?? [];
      ranges.push([first, (state.starts[index + 1] ?? LAST + 1) - 1]);
      found.set(to, ranges);
    }
    return [...found].map(([to, ranges]) => ({ set: codePoints(ranges), to }));
  }

  /** @param point the first of those between which nothing differs, here or in a state that has this one as an obligation */
  #step(state: State, point: number): State {
    const known = state.next.get(point);
    if (known) return known;
    const next = state.threads.flatMap(({ node, obligations }) => {
      const targets = this.#node(node).edges.filter(({ set }) => isIn(set, point));
      this.#spend(1 + targets.length);
      if (targets.length === 0) return [];
      const stepped = distinct(obligations.map((one) => ({ not: one.not, state: this.#step(one.state, point) })));
      return targets.map(({ to }) => ({ node: to, obligations: stepped }));
    });
    const to = this.#close(next);
    state.next.set(point, to);
    return to;
  }

  /** What is reached without a character. */
  #close(seeds: readonly Thread[]): State {
    const reached = new Map<string, Thread>();
    const waiting = [...seeds];
    for (let thread = waiting.pop(); thread; thread = waiting.pop()) {
      const { node, obligations } = thread;
      this.#spend(1);
      this.#clock.spend(obligations.length);
      // What can no longer match fails the thread.
      if (obligations.some(({ not, state }) => !not && state.threads.length === 0)) continue;
      const key = `${node}(${obligations.map(({ not, state }) => (not ? -1 - state.id : state.id)).join(',')})`;
      if (reached.has(key)) continue;
      reached.set(key, thread);
      const { epsilons, ahead } = this.#node(node);
      const more = ahead && { not: ahead.not, state: this.#ahead(ahead.start) };
      const all = more ? distinct([...obligations, more]) : obligations;
      for (const to of epsilons) waiting.push({ node: to, obligations: all });
    }
    return this.#state(reached);
  }

  #ahead(node: number): State {
    const known = this.#aheads.get(node);
    if (known) return known;
    const state = this.#close([{ node, obligations: [] }]);
    this.#aheads.set(node, state);
    return state;
  }

  #state(reached: ReadonlyMap<string, Thread>): State {
    const kept = [...reached].filter(([, { node }]) => node === END || this.#node(node).edges.length > 0);
    kept.sort(([a], [b]) => (a < b ? -1 : 1));
    const key = kept.map(([name]) => name).join(';');
    const known = this.#states.get(key);
    if (known) return known;
    const threads = kept.map(([, thread]) => thread);
    const starts = new Set([0]);
    for (const { node, obligations } of threads) {
      const ranges = this.#node(node).edges.flatMap(({ set }) => set);
      for (const [first, last] of ranges) starts.add(first).add(last + 1);
      for (const { state } of obligations) {
        for (const start of state.starts) starts.add(start);
        this.#clock.spend(state.starts.length);
      }
      this.#clock.spend(ranges.length);
    }
    starts.delete(LAST + 1);
    const state: State = {
      id: this.#states.size,
      accepting: threads.some(
        ({ node, obligations }) => node === END && obligations.every((one) => one.state.accepting !== one.not),
      ),
      threads,
      starts: [...starts].sort((a, b) => a - b),
      next: new Map(),
    };
    this.#states.set(key, state);
    return state;
  }

  #spend(steps: number): void {
    if ((this.#steps += steps) > MOST_STEPS) throw tooLarge();
    this.#clock.spend(steps);
  }

  #node(index: number): Node {
    return this.#nodes[index] ?? { edges: [], epsilons: [], ahead: undefined };
  }

  #add(node: Partial<Node>): number {
    if (this.#nodes.length > MOST_STATES * 4) throw tooLarge();
    return this.#nodes.push({ edges: [], epsilons: [], ahead: undefined, ...node }) - 1;
  }

  /** @returns the node from which an expression leads to the node `to` */
  #build(expression: Expression, to: number): number {
    this.#clock.spend();
    switch (expression.kind) {
      case 'class':
        return this.#add({ edges: [{ set: expression.set, to }] });
      case 'sequence':
        return expression.parts.reduceRight((next, part) => this.#build(part, next), to);
      case 'choice':
        return this.#add({ epsilons: expression.options.map((option) => this.#build(option, to)) });
      case 'repeat':
        return this.#repeat(expression.part, expression.min, expression.max, to);
      case 'ahead':
        return this.#add({
          ahead: { start: this.#build(expression.part, END), not: expression.not },
          epsilons: [to],
        });
      case 'rule':
        throw new GrammarError('A lookahead cannot stand beside rules');
    }
  }

  #repeat(part: Expression, min: number, max: number, to: number): number {
    let next = to;
    if (max === Infinity) {
      next = this.#add({});
      this.#nodes[next] = { ...this.#node(next), epsilons: [this.#build(part, next), to] };
    } else {
      for (let count = min; count < max; count++) next = this.#add({ epsilons: [this.#build(part, next), to] });
    }
    for (let count = 0; count < min; count++) next = this.#build(part, next);
    return next;
  }
}

const LAST = 0x10ffff;

function isIn(set: CodePoints, point: number): boolean {
  let [from, to] = [0, set.length];
  while (from < to) {
    const middle = (from + to) >>> 1;
    const [first, last] = set[middle] ?? [0, 0];
    if (point >= first && point <= last) return true;
    if (point < first) to = middle;
    else from = middle + 1;
  }
  return false;
}

/** Obligations that are the same are one; one that nothing can break any more is none. */
function distinct(obligations: readonly Obligation[]): readonly Obligation[] {
  if (obligations.length < 2 && obligations[0]?.not !== true) return obligations;
  const open = obligations.filter(({ not, state }) => !not || state.threads.length > 0);
  const byKey = new Map(open.map((one) => [one.not ? -1 - one.state.id : one.state.id, one]));
  return [...byKey].sort(([a], [b]) => a - b).map(([, one]) => one);
}
