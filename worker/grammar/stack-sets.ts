import { GrammarError } from './byte-machine.ts';

/** A deeper stack is not kept: its text is treated as one that cannot come. */
const MAX_DEPTH = 1000;

/** The limit on what one byte may cost, so that an ambiguous grammar cannot block the worker. */
const MAX_STEPS = 20_000;

interface Frame {
  back: number;
  below: StackSet;
}

/**
 * A set of stacks of return nodes. Sets that are equal are the same object, and stacks share what lies below: ambiguous
 * grammars have exponentially many stacks, but few nodes on top of them.
 */
export interface StackSet {
  readonly id: number;
  /** Whether the empty stack is in it: the end of a rule is then the end of the text. */
  readonly empty: boolean;
  /** The nodes on top, ascending, with the set of stacks that lie below each. */
  readonly frames: readonly Frame[];
  readonly depth: number;
}

/** Makes the sets of stacks of one machine. */
export class StackSets {
  readonly bottom: StackSet = { id: 0, empty: true, frames: [], depth: 0 };
  readonly #sets = new Map<string, StackSet>();
  readonly #unions = new Map<string, StackSet>();
  #ids = 0;
  #size = 0;
  #steps = 0;

  /** The stacks with one more node on top, or undefined if they would be too deep. */
  push(back: number, below: StackSet): StackSet | undefined {
    return below.depth < MAX_DEPTH ? this.#intern(false, [{ back, below }]) : undefined;
  }

  /** All stacks of several sets, which are merged at once: one by one, each step would copy what the last one made. */
  union(sets: readonly StackSet[]): StackSet {
    const [first = this.bottom] = sets;
    if (sets.every((set) => set === first)) return first;
    const distinct = [...new Set(sets)];
    const key = distinct
      .map(({ id }) => id)
      .sort((a, b) => a - b)
      .join(' ');
    const known = this.#unions.get(key);
    if (known) return known;
    const belows = new Map<number, StackSet[]>();
    for (const { back, below } of distinct.flatMap(({ frames }) => frames)) {
      this.spend();
      const others = belows.get(back);
      if (others) others.push(below);
      else belows.set(back, [below]);
    }
    const frames = [...belows].map(([back, stacks]) => ({ back, below: this.union(stacks) }));
    const all = this.#intern(
      distinct.some(({ empty }) => empty),
      frames.sort((a, b) => a.back - b.back),
    );
    this.#unions.set(key, all);
    return all;
  }

  #intern(empty: boolean, frames: readonly Frame[]): StackSet {
    const key = `${empty} ${frames.map(({ back, below }) => `${back}:${below.id}`).join(' ')}`;
    const known = this.#sets.get(key);
    if (known) return known;
    const depth = 1 + Math.max(...frames.map(({ below }) => below.depth));
    const set = { id: ++this.#ids, empty, frames, depth };
    this.#sets.set(key, set);
    this.#size += 2 + frames.length;
    return set;
  }

  /** How many sets and frames are kept. */
  get size(): number {
    return this.#size;
  }

  /** Forgets all sets. Those in use stay valid, but may get an equal twin. */
  clear(): void {
    this.#sets.clear();
    this.#unions.clear();
    this.#size = 0;
  }

  startCounting(): void {
    this.#steps = 0;
  }

  spend(): void {
    if (++this.#steps > MAX_STEPS) throw new GrammarError('Too ambiguous: a single byte can be read in too many ways');
  }
}
