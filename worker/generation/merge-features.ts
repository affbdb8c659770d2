import { NearsightError } from '../../src/protocol/errors.ts';
import type { Tensor } from '../onnx/ort.ts';
import { rowsOf } from '../onnx/tensor.ts';

/** Assigns the rows of the images' feature tensors, in order, to the image tokens of a prompt. */
export class FeatureMerger {
  readonly #tensors: readonly Tensor[];
  #tensor = 0;
  #row = 0;

  constructor(tensors: readonly Tensor[]) {
    this.#tensors = tensors;
  }

  /**
   * Calls `copy` with the next rows for each run of image tokens in `ids`.
   *
   * @param copy is called with a tensor, its rows [row, row + count), and the index in `ids` of the first
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
