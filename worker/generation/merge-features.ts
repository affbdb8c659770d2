import { NearsightError } from '../../src/protocol/errors.ts';
import type { Tensor } from '../onnx/ort.ts';
import { rowsOf } from '../onnx/tensor.ts';

/** Is called with a tensor, its rows [row, row + count), and the index in a chunk of ids of the first. */
type CopyRows = (tensor: Tensor, row: number, count: number, at: number) => void;

/**
 * Assigns the rows of the images' feature tensors, in order, to the image tokens of a prompt.
 *
 * @returns a function that takes the prompt's ids chunk by chunk, and calls `copy` with the next rows for each run of image
 *   tokens
 */
export function featureMerger(
  tensors: readonly Tensor[],
  imageTokenId: number,
): (ids: Int32Array, copy: CopyRows) => void {
  const rest = [...tensors];
  let row = 0;
  return (ids, copy) => {
    for (let at = 0; at < ids.length; at++) {
      if (ids[at] !== imageTokenId) continue;
      const [tensor] = rest;
      if (!tensor)
        throw new NearsightError('internal', 'The prompt has more image tokens than its images have features.');
      const { rows } = rowsOf(tensor);
      let count = 1;
      while (ids[at + count] === imageTokenId && row + count < rows) count++;
      copy(tensor, row, count, at);
      at += count - 1;
      row += count;
      if (row === rows) {
        rest.shift();
        row = 0;
      }
    }
  };
}
