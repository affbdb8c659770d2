import type { ByteMachine } from './byte-machine.ts';
import { END, type Nfa, type NfaNode } from './nfa.ts';
import { StackSets, type StackSet } from './stack-sets.ts';

/** All that a text so far can mean: nodes that bytes lead on from, each with the rules that wait for it to end. */
export interface NfaState {
  readonly id: number;
  readonly accepting: boolean;
  readonly places: readonly { node: number; stacks: StackSet }[];
  /** By byte class, the states that follow, as far as they are known. */
  next: (NfaState | undefined)[];
}

/** The number of places, transitions and sets of stacks that are kept, some 50 bytes each. */
const MAX_KEPT = 400_000;

/** Determinises a pruned {@link Nfa} while it is used. */
export class NfaMachine implements ByteMachine<NfaState> {
  readonly initial: NfaState;
  readonly #nodes: readonly NfaNode[];
  /** Bytes that lead to the same nodes everywhere have the same class. */
  readonly #classes: Uint8Array;
  readonly #stacks = new StackSets();
  readonly #states = new Map<string, NfaState>();
  #kept = 0;
  #ids = 0;

  constructor({ nodes }: Nfa, start: number) {
    this.#nodes = nodes;
    this.#classes = byteClasses(nodes);
    this.initial = this.#state([[start, this.#stacks.bottom]]);
  }

  transition(state: NfaState, byte: number): NfaState {
    return state.next[this.#classes[byte] ?? 0] ?? this.#step(state, byte);
  }

  viable(state: NfaState): boolean {
    return state.accepting || state.places.length > 0;
  }

  accepting(state: NfaState): boolean {
    return state.accepting;
  }

  maskKey(state: NfaState): string {
    return String(state.id);
  }

  #step(state: NfaState, byte: number): NfaState {
    if (this.#kept + this.#stacks.size > MAX_KEPT) this.#forget();
    const seeds: [number, StackSet][] = [];
    for (const { node, stacks } of state.places) {
      for (const { first, last, to } of this.#nodes[node]?.edges ?? []) {
        if (byte >= first && byte <= last) seeds.push([to, stacks]);
      }
    }
    const next = this.#state(seeds);
    state.next[this.#classes[byte] ?? 0] = next;
    this.#kept++;
    return next;
  }

  #state(seeds: Iterable<readonly [number, StackSet]>): NfaState {
    const reached = this.#closure(seeds);
    const accepting = reached.get(END)?.empty ?? false;
    const places = [...reached]
      .map(([node, stacks]) => ({ node, stacks }))
      .filter(({ node }) => (this.#nodes[node]?.edges.length ?? 0) > 0)
      .sort((a, b) => a.node - b.node);
    const key = `${accepting} ${places.map(({ node, stacks }) => `${node}:${stacks.id}`).join(' ')}`;
    const known = this.#states.get(key);
    if (known) return known;
    const state: NfaState = { id: ++this.#ids, accepting, places, next: [] };
    this.#states.set(key, state);
    this.#kept += places.length + 1;
    return state;
  }

  /**
   * What is reached without a byte. Nodes are taken first in, first out: a node that is reached on several ways then mostly
   * has all of its stacks when its turn comes. Last in, first out would take exponential time for some grammars.
   */
  #closure(seeds: Iterable<readonly [number, StackSet]>): Map<number, StackSet> {
    const stackSets = this.#stacks;
    stackSets.startCounting();
    const reached = new Map<number, StackSet>();
    /** Stacks with which a node was reached since its last turn. */
    const waiting = new Map<number, StackSet[]>();
    const add = (node: number, stacks: StackSet) => {
      stackSets.spend();
      const others = waiting.get(node);
      if (!others) waiting.set(node, [stacks]);
      else if (others.at(-1) !== stacks) others.push(stacks);
    };
    for (const [node, stacks] of seeds) add(node, stacks);
    for (const [node, added] of waiting) {
      waiting.delete(node);
      const known = reached.get(node);
      if (known) added.push(known);
      const stacks = stackSets.union(added);
      if (stacks === known) continue;
      reached.set(node, stacks);
      const { epsilons = [], call } = this.#nodes[node] ?? {};
      for (const to of epsilons) add(to, stacks);
      if (node === END) for (const { back, below } of stacks.frames) add(back, below);
      if (!call) continue;
      // A call at the end of a rule needs no return: so right recursion takes no stack.
      const called = call.back === END ? stacks : stackSets.push(call.back, stacks);
      if (called) add(call.rule, called);
    }
    return reached;
  }

  /** Drops what is only kept to save time. States that are in use stay valid. */
  #forget(): void {
    for (const state of this.#states.values()) state.next = [];
    this.#states.clear();
    this.#stacks.clear();
    this.#kept = 0;
  }
}

function byteClasses(nodes: readonly NfaNode[]): Uint8Array {
  const starts = new Set<number>();
  for (const { first, last } of nodes.flatMap(({ edges }) => edges)) starts.add(first).add(last + 1);
  let current = 0;
  return Uint8Array.from({ length: 256 }, (_, byte) => (byte > 0 && starts.has(byte) ? ++current : current));
}
