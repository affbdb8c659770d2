import { NearsightError } from '../../src/protocol/errors.ts';

/**
 * Limits which tokens may come next in an answer. It has the state of that answer, so each answer needs its own.
 *
 * It is applied before all other rules of sampling. Log probabilities remain those of the model alone.
 */
export interface TokenConstraint {
  /**
   * True: the mask depends on the index alone. Then tokens are sampled before those before them are read back and accepted,
   * so steps stay in flight.
   */
  readonly byIndex?: boolean | undefined;
  /**
   * Bit `id & 31` of word `id >> 5` is set if token `id` may come next; ids beyond the last word may not. Undefined: any
   * token may. Valid until the next call: the decoder keeps no reference, so the array can be reused.
   *
   * @param index of the token in the answer, from 0
   */
  mask(index: number): Uint32Array | undefined;
  /** Tokens of a text that can go on in one way only, as far as it is certain. They are accepted like sampled ones. */
  forced?(): readonly number[];
  /** Called once with each sampled token, in order, before the decoder yields it; also with the end token. */
  accept(id: number): void;
}

/** Allows what both allow. Allocates nothing after its first mask. */
export function both(one: TokenConstraint, other: TokenConstraint): TokenConstraint {
  let common = new Uint32Array(0);
  return {
    byIndex: one.byIndex && other.byIndex,
    mask(index) {
      const [a, b] = [one.mask(index), other.mask(index)];
      if (!a || !b) return a ?? b;
      if (common.length < a.length) common = new Uint32Array(a.length);
      for (let word = 0; word < common.length; word++) common[word] = (a[word] ?? 0) & (b[word] ?? 0);
      return common;
    },
    accept(id) {
      one.accept(id);
      other.accept(id);
    },
  };
}

export function isAllowed(mask: Uint32Array, id: number): boolean {
  return (((mask[id >>> 5] ?? 0) >>> (id & 31)) & 1) === 1;
}

/** The error of sampling if the constraint allows no token that the model could give. */
export function unsatisfiable(): NearsightError {
  return new NearsightError('constraint_unsatisfiable', 'The constraint leaves no token that could come next.');
}
