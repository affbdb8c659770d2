import type { TileGrid } from './idefics3-tiles.ts';

/** The chat template's placeholder of an image, and the prompt's token for each of its feature rows. */
export const IMAGE = '<image>';

const BORDER = '<fake_token_around_image>';
const WHOLE_IMAGE = '<global-img>';

const tileTag = (row: number, column: number): string => `<row_${row}_col_${column}>`;

/** How many tiles each edge of a grid may have: SmolVLM's vocabulary has tags up to `<row_6_col_6>`, Granite-Docling's up to 4. */
export function mostTiles(special: ReadonlyMap<string, number>): number {
  let edge = 0;
  const isNamed = (_: unknown, at: number): boolean =>
    special.has(tileTag(edge + 1, at + 1)) && special.has(tileTag(at + 1, edge + 1));
  while (Array.from({ length: edge + 1 }).every(isNamed)) edge++;
  return edge;
}

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
    for (let column = 1; column <= columns; column++) text += BORDER + tileTag(row, column) + features;
    text += '\n';
  }
  return `${text}\n${whole}`;
}
