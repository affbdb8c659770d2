import { NearsightError } from '../../src/protocol/errors.ts';

/**
 * Which tokens may come next in one answer. It follows that answer, so each answer needs one of its own.
 *
 * It comes before every other rule of sampling. Log probabilities stay those of the model alone.
 */
export interface TokenConstraint {
  /**
   * Bit `id & 31` of word `id >> 5` is set where token `id` may come next; ids beyond the last word may not. Undefined: any
   * token may. Valid until {@link accept} is called: the decoder keeps no reference, so the same array can be filled again.
   */
  mask(): Uint32Array | undefined;
  /** Called once with each sampled token, in order, before the caller of the decoder sees it; also with the end token. */
  accept(id: number): void;
}

export function isAllowed(mask: Uint32Array, id: number): boolean {
  return (((mask[id >>> 5] ?? 0) >>> (id & 31)) & 1) === 1;
}

/** What sampling throws where no token may come that the model could give. */
export function unsatisfiable(): NearsightError {
  return new NearsightError('constraint_unsatisfiable', 'The constraint leaves no token that could come next.');
}
