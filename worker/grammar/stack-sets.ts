import { GrammarError } from './byte-machine.ts';

/** A deeper stack is not kept: its text is treated as one that cannot come. */
const MAX_DEPTH = 1000;

/** The limit on what one byte may cost, so that an ambiguous grammar cannot block the worker. */
const MAX_STEPS = 500_000;

/**
 * A set of stacks of return nodes. Sets that are equal are the same object, and stacks share what lies below: ambiguous
 * grammars have exponentially many stacks, but few nodes on top of them.
 */
export interface StackSet {
  readonly id: number;
  /** Whether the empty stack is in it: the end of a rule is then the end of the text. */
  readonly empty: boolean;
  /** The nodes on top, ascending, with the set of stacks that lie below each. */
  readonly frames: readonly { back: number; below: StackSet }[];
  readonly depth: number;
}

/** Makes the sets of stacks of one machine. */
export class StackSets {
  readonly bottom: StackSet = { id: 0, empty: true, frames: [], depth: 0 };
  readonly #sets = new Map<string, StackSet>();
  readonly #unions = new Map<string, StackSet>();
  #ids = 0;
  #steps = 0;

  /** The stacks with one more node on top, or undefined if they would be too deep. */
  push(back: number, below: StackSet): StackSet | undefined {
    return below.depth < MAX_DEPTH ? this.#intern(false, [{ back, below }]) : undefined;
  }

  union(a: StackSet, b: StackSet): StackSet {
    if (a === b) return a;
    const key = a.id < b.id ? `${a.id} ${b.id}` : `${b.id} ${a.id}`;
    const known = this.#unions.get(key);
    if (known) return known;
    const below = new Map(a.frames.map((frame) => [frame.back, frame.below]));
    for (const frame of b.frames) {
      this.spend();
      const other = below.get(frame.back);
      below.set(frame.back, other ? this.union(other, frame.below) : frame.below);
    }
    const frames = [...below].map(([back, stacks]) => ({ back, below: stacks })).sort((x, y) => x.back - y.back);
    const all = this.#intern(a.empty || b.empty, frames);
    this.#unions.set(key, all);
    return all;
  }

  #intern(empty: boolean, frames: StackSet['frames']): StackSet {
    const key = `${empty} ${frames.map(({ back, below }) => `${back}:${below.id}`).join(' ')}`;
    const known = this.#sets.get(key);
    if (known) return known;
    const depth = 1 + Math.max(...frames.map(({ below }) => below.depth));
    const set = { id: ++this.#ids, empty, frames, depth };
    this.#sets.set(key, set);
    return set;
  }

  /** How many sets are kept. */
  get size(): number {
    return this.#sets.size + this.#unions.size;
  }

  /** Forgets all sets. Those in use stay valid, but may get an equal twin. */
  clear(): void {
    this.#sets.clear();
    this.#unions.clear();
  }

  startCounting(): void {
    this.#steps = 0;
  }

  spend(): void {
    if (++this.#steps > MAX_STEPS) throw new GrammarError('Too ambiguous: a single byte can be read in too many ways');
  }
}
