import type { TokenConstraint } from '../../../worker/sampling/token-constraint.ts';

/** Bits for these ids. */
export function maskOf(ids: Iterable<number>, vocab: number): Uint32Array {
  const mask = new Uint32Array(Math.ceil(vocab / 32));
  for (const id of ids) mask[id >>> 5]! |= 1 << (id & 31);
  return mask;
}

/** Allows the ids that a rule returns for the tokens accepted so far. */
export class ToyConstraint implements TokenConstraint {
  readonly accepted: number[] = [];
  readonly #vocab: number;
  readonly #rule: (accepted: readonly number[]) => Iterable<number> | undefined;

  constructor(vocab: number, rule: (accepted: readonly number[]) => Iterable<number> | undefined) {
    this.#vocab = vocab;
    this.#rule = rule;
  }

  mask(): Uint32Array | undefined {
    const ids = this.#rule(this.accepted);
    return ids && maskOf(ids, this.#vocab);
  }

  accept(id: number): void {
    this.accepted.push(id);
  }
}

/** Ids from 0 to below `vocab` for which a test holds. */
export function idsWhere(vocab: number, test: (id: number) => boolean): number[] {
  return Array.from({ length: vocab }, (_, id) => id).filter(test);
}

/** The tokens that consist of digits only. */
export function digitIds(tokenizer: { bytes(id: number): Uint8Array }, vocab: number): number[] {
  return idsWhere(vocab, (id) => /^\d+$/.test(new TextDecoder().decode(tokenizer.bytes(id))));
}

/** A third of the vocabulary, which depends on the tokens before. */
export const otherThird =
  (vocab: number) =>
  (accepted: readonly number[]): number[] =>
    idsWhere(vocab, (id) => id % 3 === ((accepted.at(-1) ?? 0) + accepted.length) % 3);
