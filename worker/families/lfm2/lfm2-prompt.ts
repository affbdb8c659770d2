import type { ConfigReader } from '../config-reader.ts';
import type { TemplateTokenizer } from '../tokenizer.ts';
import type { ImageSettings } from './lfm2-settings.ts';
import { type Cut, grids } from './lfm2-tiles.ts';

const START = '<|image_start|>';
const END = '<|image_end|>';
const THUMBNAIL = '<|img_thumbnail|>';
const tileTag = (row: number, column: number): string => `<|img_row_${row}_col_${column}|>`;

/** An image in the prompt, as the Python `Lfm2VlProcessor` writes it. */
export function imagePrompt({ rows, columns, whole }: Cut, placeholder: string, settings: ImageSettings): string {
  const { tileSize, factor } = settings;
  const features = (width: number, height: number): string => placeholder.repeat((width / factor) * (height / factor));
  let text = START;
  for (let row = 1; row <= rows; row++) {
    for (let column = 1; column <= columns; column++) text += tileTag(row, column) + features(tileSize, tileSize);
  }
  if (whole) text += (rows > 0 ? THUMBNAIL : '') + features(whole.width, whole.height);
  return text + END;
}

/** A tag that is no token would be read as text. */
export function checkTags({ special }: TemplateTokenizer, file: ConfigReader, settings: ImageSettings): void {
  const { minTiles, maxTiles } = settings;
  const tiles = settings.splitting ? grids(minTiles, maxTiles) : [];
  const tags = [START, END, THUMBNAIL, ...tiles.map(({ rows, columns }) => tileTag(rows, columns))];
  const missing = tags.find((tag) => !special.has(tag));
  if (missing !== undefined) throw file.error('added_tokens', `a list with ${missing}`);
}
