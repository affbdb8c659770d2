import { GrammarError } from './byte-machine.ts';

/** Longest time for a request's constraint, in milliseconds. On a desktop ordinary ones take 1 to 300, 128 tools 700. */
const LONGEST = 10_000;

/** How many steps are done between two looks at the clock. Each takes a microsecond or so. */
const STEPS_PER_LOOK = 1000;

/**
 * Ends the compilation of a constraint that takes too long. Each request has one: limits for each tool, schema or pass would add
 * up. All that loops over what a request says spends steps of it, unless a limit of its own keeps it short.
 */
export class CompileClock {
  readonly #longest: number;
  readonly #end: number;
  #steps = STEPS_PER_LOOK;

  constructor(longest = LONGEST) {
    this.#longest = longest;
    this.#end = performance.now() + longest;
  }

  /** @throws GrammarError where it has taken too long */
  spend(steps = 1): void {
    this.#steps -= steps;
    if (this.#steps <= 0) this.look();
  }

  /** As {@link spend}, before a step that may take milliseconds by itself. */
  look(): void {
    this.#steps = STEPS_PER_LOOK;
    if (performance.now() < this.#end) return;
    const limit = `${this.#longest / 1000} s for all schemas of the request together`;
    throw new GrammarError(`Too slow: to compile it takes longer than the limit of ${limit}. Make it simpler`);
  }
}
