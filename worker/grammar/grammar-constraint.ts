import { NearsightError } from '../../src/protocol/errors.ts';
import type { TokenConstraint } from '../sampling/token-constraint.ts';
import { type ByteMachine, GrammarError } from './byte-machine.ts';
import type { TokenTrie } from './token-trie.ts';

/** The space before an answer's first word belongs to the template, and is not shown (`generation/generate.ts`). */
const SPACE = 0x20;

/** Longest time for one mask, in milliseconds. Those of ordinary grammars take 0.01 to 5. */
const DEADLINE = 2000;
const TOO_SLOW = 'The constraint is too ambiguous: it takes too long to find which tokens may come next';
/** For all masks of an answer. */
const LONGEST = 10_000;
/** How many nodes are visited between two looks at the clock. Of hostile grammars each may take 20 ms. */
const NODES_PER_LOOK = 16;

/** Bytes of a text that is read without sampling. A shorter one is one or two tokens. */
const SHORTEST_FORCED = 6;
const LONGEST_FORCED = 512;

/** How many masks are kept: 1.6 MB of SmolVLM's. */
const MOST_MASKS = 256;

/** What a constraint takes its tokens from. */
export interface Vocabulary {
  trie: TokenTrie;
  bytes(id: number): Uint8Array;
  /** The tokens of a text. */
  encode(text: string): readonly number[];
  /** Tokens that end an answer. */
  stopIds: readonly number[];
}

/** The masks of one machine's states, for all answers that it is used for. */
export class TokenMasks<State> {
  readonly machine: ByteMachine<State>;
  readonly vocabulary: Vocabulary;
  /** The request's field, for errors. */
  readonly param: string;
  readonly #masks = new Map<string, Uint32Array>();
  /** States on the way down the tree. */
  readonly #path: State[] = [];

  constructor(machine: ByteMachine<State>, vocabulary: Vocabulary, param: string) {
    this.machine = machine;
    this.vocabulary = vocabulary;
    this.param = param;
  }

  /** @param isFirst whether an answer's first token is to come, whose leading space is not part of the text */
  maskOf(state: State, isFirst: boolean): Uint32Array {
    const key = isFirst ? undefined : this.machine.maskKey?.(state);
    const known = key === undefined ? undefined : this.#masks.get(key);
    if (known) return known;
    const mask = new Uint32Array(this.vocabulary.trie.words);
    if (this.machine.accepting(state)) for (const id of this.vocabulary.stopIds) allow(mask, id);
    withinTime(this.param, (check) => this.#fill(mask, state, isFirst, check));
    if (key !== undefined) this.#keep(key, mask);
    return mask;
  }

  #keep(key: string, mask: Uint32Array): void {
    const [oldest] = this.#masks.keys();
    if (this.#masks.size >= MOST_MASKS && oldest !== undefined) this.#masks.delete(oldest);
    this.#masks.set(key, mask);
  }

  #fill(mask: Uint32Array, start: State, isFirst: boolean, check: () => void): void {
    const { machine } = this;
    const path = this.#path;
    const { bytes, depths, ends, ids, firstIds } = this.vocabulary.trie;
    path[0] = start;
    let look = NODES_PER_LOOK;
    for (let node = 0; node < bytes.length;) {
      if (--look === 0) {
        look = NODES_PER_LOOK;
        check();
      }
      const depth = depths[node] ?? 0;
      const byte = bytes[node] ?? 0;
      const before = path[depth] ?? start;
      const state = isFirst && depth === 0 && byte === SPACE ? start : machine.transition(before, byte);
      if (!machine.viable(state)) {
        node = ends[node] ?? bytes.length;
        continue;
      }
      path[depth + 1] = state;
      for (let index = firstIds[node] ?? 0; index < (firstIds[node + 1] ?? 0); index++) allow(mask, ids[index] ?? 0);
      node++;
    }
  }
}

/**
 * Runs what may take long for an ambiguous grammar.
 *
 * @param work calls its argument now and then
 * @throws NearsightError `unsupported_schema`
 */
function withinTime<T>(param: string, work: (check: () => void) => T): T {
  const end = performance.now() + DEADLINE;
  try {
    return work(() => {
      if (performance.now() > end) throw new GrammarError(TOO_SLOW);
    });
  } catch (error) {
    throw error instanceof GrammarError ? unsupported(param, error.message) : error;
  }
}

function unsupported(param: string, message: string): NearsightError {
  return new NearsightError('unsupported_schema', `${param}: ${message}.`, { param });
}

/** The byte that alone can come next, if there is only one. */
function onlyByte<State>(machine: ByteMachine<State>, state: State): number | undefined {
  let only: number | undefined;
  for (let byte = 0; byte < 256; byte++) {
    if (!machine.viable(machine.transition(state, byte))) continue;
    if (only !== undefined) return undefined;
    only = byte;
  }
  return only;
}

function allow(mask: Uint32Array, id: number): void {
  mask[id >>> 5] = (mask[id >>> 5] ?? 0) | (1 << (id & 31));
}

/** Holds one answer to a machine: each token continues the text, and only a whole text can end. */
export class GrammarConstraint<State> implements TokenConstraint {
  readonly #masks: TokenMasks<State>;
  readonly #check: (text: string) => void;
  #state: State;
  #bytes: number[] = [];
  #isFirst = true;
  /** Milliseconds that its masks and forced texts took. */
  #spent = 0;

  /** @param check throws if a whole text is not what it must be */
  constructor(masks: TokenMasks<State>, check: (text: string) => void) {
    this.#masks = masks;
    this.#check = check;
    this.#state = masks.machine.initial;
  }

  mask(): Uint32Array {
    return this.#spend(() => this.#masks.maskOf(this.#state, this.#isFirst));
  }

  /** @throws NearsightError `unsupported_schema` once all of an answer's work has taken too long */
  #spend<T>(work: () => T): T {
    const start = performance.now();
    const result = work();
    this.#spent += performance.now() - start;
    if (this.#spent > LONGEST) throw unsupported(this.#masks.param, TOO_SLOW);
    return result;
  }

  /**
   * Of a text that can only go on in one way, all tokens but the last: it might end within a token that spans what follows.
   * They are few or none where the text is short, so a model that samples it token by token loses little.
   */
  forced(): readonly number[] {
    const { vocabulary, param } = this.#masks;
    const bytes = this.#spend(() => withinTime(param, (check) => this.#forcedBytes(check)));
    if (bytes.length < SHORTEST_FORCED) return [];
    // A character that is not whole decodes to one that no token of the text gives: it is cut off below.
    const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes));
    const ids = vocabulary.encode(this.#isFirst ? ` ${text}` : text).slice(0, -1);
    const spelled = ids.flatMap((id) => [...vocabulary.bytes(id)]);
    if (this.#isFirst) spelled.shift();
    return spelled.every((byte, at) => byte === bytes[at]) ? ids : [];
  }

  /** The bytes that must follow, as far as no other can. */
  #forcedBytes(check: () => void): number[] {
    const { machine } = this.#masks;
    const bytes: number[] = [];
    let state = this.#state;
    while (bytes.length < LONGEST_FORCED && !machine.accepting(state)) {
      check();
      const next = onlyByte(machine, state);
      if (next === undefined) break;
      bytes.push(next);
      state = machine.transition(state, next);
    }
    return bytes;
  }

  accept(id: number): void {
    const { machine, vocabulary } = this.#masks;
    if (vocabulary.stopIds.includes(id)) {
      this.#check(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(this.#bytes)));
      return;
    }
    const bytes = vocabulary.bytes(id);
    const shown = this.#isFirst && bytes[0] === SPACE ? bytes.subarray(1) : bytes;
    this.#isFirst = false;
    for (const byte of shown) this.#state = machine.transition(this.#state, byte);
    this.#bytes.push(...shown);
  }
}
