import type { TileGrid } from './idefics3-tiles.ts';

/** The chat template's placeholder of an image, and the prompt's token for each of its feature rows. */
export const IMAGE = '<image>';

const BORDER = '<fake_token_around_image>';
const WHOLE_IMAGE = '<global-img>';

/**
 * An image in the prompt, as the Python `Idefics3Processor` writes it: feature rows of each crop, after a tag with the
 * tile's row and column.
 */
export function imagePrompt({ rows, columns }: TileGrid, rowsPerCrop: number): string {
  const features = IMAGE.repeat(rowsPerCrop);
  const whole = BORDER + WHOLE_IMAGE + features + BORDER;
  if (rows === 0) return whole;
  let text = '';
  for (let row = 1; row <= rows; row++) {
    for (let column = 1; column <= columns; column++) text += `${BORDER}<row_${row}_col_${column}>${features}`;
    text += '\n';
  }
  return `${text}\n${whole}`;
}
