import type { TileGrid } from './idefics3-tiles.ts';

/** Stands for an image in the chat template, and for each feature row of one in the prompt. */
export const IMAGE = '<image>';

const AROUND = '<fake_token_around_image>';
const WHOLE = '<global-img>';

/**
 * An image's place in the prompt, as the Python `Idefics3Processor` writes it: feature rows for each crop, between tags
 * that say which tile it is.
 */
export function imagePrompt({ rows, columns }: TileGrid, rowsPerCrop: number): string {
  const features = IMAGE.repeat(rowsPerCrop);
  const whole = AROUND + WHOLE + features + AROUND;
  if (rows === 0) return whole;
  let text = '';
  for (let row = 1; row <= rows; row++) {
    for (let column = 1; column <= columns; column++) text += `${AROUND}<row_${row}_col_${column}>${features}`;
    text += '\n';
  }
  return `${text}\n${whole}`;
}
