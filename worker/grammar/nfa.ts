import { GrammarError } from './byte-machine.ts';
import type { CompileClock } from './compile-clock.ts';
import type { CodePoints } from './code-points.ts';
import type { Expression } from './expression.ts';
import { utf8Sequences } from './utf8.ts';

/** Bytes from the first to the last lead to another node. */
export interface ByteEdge {
  first: number;
  last: number;
  to: number;
}

export interface NfaNode {
  edges: readonly ByteEdge[];
  /** Nodes that are reached without a byte. */
  epsilons: readonly number[];
  /** The first node of a rule, and the node where a text continues after one of that rule. */
  call: { rule: number; back: number } | undefined;
}

/** A nondeterministic automaton over bytes whose rules can call each other: a recursive transition network. */
export interface Nfa {
  nodes: NfaNode[];
  /** The first node of each rule. */
  starts: ReadonlyMap<string, number>;
}

/** The node in which every rule ends. */
export const END = 0;

/** The limit on nodes, and on repeats of parts that have none. 128 tools of six properties have 50,000. */
const MAX_SIZE = 100_000;
/** The limit on edges: classes of single characters have many. */
const MAX_EDGES = 1_000_000;

/** Thompson's construction, from the end to the start, so that each part knows where it leads. */
class NfaBuilder {
  readonly nodes: NfaNode[] = [];
  readonly starts = new Map<string, number>();
  /** Nodes with one edge, by this edge: classes share the ends of their encodings. */
  readonly #tails = new Map<number, number>();
  readonly #sequences = new Map<CodePoints, ReturnType<typeof utf8Sequences>>();
  #size = 0;
  #edges = 0;
  readonly #clock: CompileClock;

  constructor(clock: CompileClock) {
    this.#clock = clock;
  }

  add(node: Partial<NfaNode>): number {
    this.#grow();
    return this.nodes.push({ edges: [], epsilons: [], call: undefined, ...node }) - 1;
  }

  /** @returns the node from which an expression leads to the node `to` */
  build(expression: Expression, to: number): number {
    // Also where no node is added: a part may be repeated no times.
    this.#clock.spend();
    switch (expression.kind) {
      case 'class':
        return this.#class(expression.set, to);
      case 'sequence':
        return expression.parts.reduceRight((next, part) => this.build(part, next), to);
      case 'choice':
        return this.add({ epsilons: expression.options.map((option) => this.build(option, to)) });
      case 'repeat':
        return this.#repeat(expression.part, expression.min, expression.max, to);
      case 'ahead':
        throw new GrammarError('A lookahead is not supported here');
      case 'rule': {
        const rule = this.starts.get(expression.name);
        if (rule === undefined) throw new GrammarError(`The rule "${expression.name}" is not defined`);
        return this.add({ call: { rule, back: to } });
      }
    }
  }

  #repeat(part: Expression, min: number, max: number, to: number): number {
    let next = to;
    if (max === Infinity) {
      next = this.add({});
      this.nodes[next]!.epsilons = [this.build(part, next), to];
    } else {
      for (let count = min; count < max; count++) next = this.add({ epsilons: [this.build(part, next), to] });
    }
    for (let count = 0; count < min; count++) {
      this.#grow();
      next = this.build(part, next);
    }
    return next;
  }

  #class(set: CodePoints, to: number): number {
    const sequences = this.#sequences.get(set) ?? set.flatMap(utf8Sequences);
    this.#sequences.set(set, sequences);
    this.#clock.spend(sequences.length);
    if ((this.#edges += sequences.length) > MAX_EDGES) throw tooLarge(`${MAX_EDGES} transitions`);
    const edges = sequences.map((bytes) => {
      const [[first, last] = [0, 0], ...rest] = bytes;
      return { first, last, to: rest.reduceRight((next, [low, high]) => this.#tail(low, high, next), to) };
    });
    return this.add({ edges });
  }

  #tail(first: number, last: number, to: number): number {
    const key = (to * 256 + first) * 256 + last;
    const node = this.#tails.get(key) ?? this.add({ edges: [{ first, last, to }] });
    this.#tails.set(key, node);
    return node;
  }

  #grow(): void {
    if (++this.#size > MAX_SIZE) throw tooLarge(`${MAX_SIZE} states`);
  }
}

function tooLarge(than: string): GrammarError {
  return new GrammarError(`Too large: its automaton, with all repeats written out, has more than ${than}`);
}

export function buildNfa(rules: ReadonlyMap<string, Expression>, clock: CompileClock): Nfa {
  const builder = new NfaBuilder(clock);
  builder.add({});
  // All starts first: a rule may be called before it is built.
  for (const name of rules.keys()) builder.starts.set(name, builder.add({}));
  for (const [name, body] of rules) {
    const start = builder.starts.get(name);
    if (start !== undefined) builder.nodes[start]!.epsilons = [builder.build(body, END)];
  }
  return builder;
}
