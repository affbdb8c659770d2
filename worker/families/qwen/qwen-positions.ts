import type { PromptPositions } from '../processor.ts';
import type { PatchGrid } from './qwen-settings.ts';

/**
 * The positions of a prompt with still images, as `get_rope_index` of the Python models. An image's tokens have the time of
 * its first one, and the rows and columns of its features; what follows counts on after the longer edge.
 *
 * @param images the features of each image of the prompt, in order
 */
export function promptPositions(ids: Int32Array, imageTokenId: number, images: readonly PatchGrid[]): PromptPositions {
  const axes = [new Int32Array(ids.length), new Int32Array(ids.length), new Int32Array(ids.length)] as const;
  const [times, rows, columns] = axes;
  const rest = [...images];
  let next = 0;
  for (let at = 0; at < ids.length;) {
    const image = ids[at] === imageTokenId ? rest.shift() : undefined;
    const grid = image ?? { rows: 1, columns: 1 };
    for (let row = 0; row < grid.rows; row++) {
      for (let column = 0; column < grid.columns; column++, at++) {
        times[at] = next;
        rows[at] = next + row;
        columns[at] = next + column;
      }
    }
    next += Math.max(grid.rows, grid.columns);
  }
  return { axes, next };
}
