import { NearsightError } from '../../src/protocol/errors.ts';
import type { Tensor } from '../onnx/ort.ts';
import { rowsOf } from '../backend/tensor-memory.ts';

/** Walks through the rows of several feature tensors as if they were one. */
export class FeatureMerger {
  readonly #tensors: readonly Tensor[];
  #tensor = 0;
  #row = 0;

  constructor(tensors: readonly Tensor[]) {
    this.#tensors = tensors;
  }

  /**
   * Finds the next rows for each run of image tokens in `ids`.
   *
   * @param copy called with `count` rows of a tensor from `row` on, and the place in `ids` of the first
   */
  merge(
    ids: Int32Array,
    imageTokenId: number,
    copy: (tensor: Tensor, row: number, count: number, at: number) => void,
  ): void {
    for (let at = 0; at < ids.length; at++) {
      if (ids[at] !== imageTokenId) continue;
      const tensor = this.#tensors[this.#tensor];
      if (!tensor)
        throw new NearsightError('internal', 'The prompt has more image tokens than its images have features.');
      const { rows } = rowsOf(tensor);
      let count = 1;
      while (ids[at + count] === imageTokenId && this.#row + count < rows) count++;
      copy(tensor, this.#row, count, at);
      at += count - 1;
      this.#row += count;
      if (this.#row === rows) {
        this.#tensor++;
        this.#row = 0;
      }
    }
  }
}
