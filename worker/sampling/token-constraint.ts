import { NearsightError } from '../../src/protocol/errors.ts';

/**
 * Limits which tokens may come next in an answer. It has the state of that answer, so each answer needs its own.
 *
 * It is applied before all other rules of sampling. Log probabilities remain those of the model alone.
 */
export interface TokenConstraint {
  /**
   * Bit `id & 31` of word `id >> 5` is set if token `id` may come next; ids beyond the last word may not. Undefined: any
   * token may. Valid until {@link accept} is called: the decoder keeps no reference, so the array can be reused.
   */
  mask(): Uint32Array | undefined;
  /** Called once with each sampled token, in order, before the decoder yields it; also with the end token. */
  accept(id: number): void;
}

export function isAllowed(mask: Uint32Array, id: number): boolean {
  return (((mask[id >>> 5] ?? 0) >>> (id & 31)) & 1) === 1;
}

/** The error of sampling if the constraint allows no token that the model could give. */
export function unsatisfiable(): NearsightError {
  return new NearsightError('constraint_unsatisfiable', 'The constraint leaves no token that could come next.');
}
