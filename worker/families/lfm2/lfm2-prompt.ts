import type { ConfigReader } from '../config-reader.ts';
import type { TemplateTokenizer } from '../tokenizer.ts';
import type { ImageSettings } from './lfm2-settings.ts';
import { type Cut, grids } from './lfm2-tiles.ts';

const START = '<|image_start|>';
const END = '<|image_end|>';
const THUMBNAIL = '<|img_thumbnail|>';

/** An image in the prompt, as the Python `Lfm2VlProcessor` writes it. */
export function imagePrompt({ rows, columns, whole }: Cut, placeholder: string, settings: ImageSettings): string {
  const { tileSize, factor } = settings;
  const features = (width: number, height: number): string => placeholder.repeat((width / factor) * (height / factor));
  let text = START;
  for (const tag of tileTags({ rows, columns })) text += tag + features(tileSize, tileSize);
  if (whole) text += (rows > 0 ? THUMBNAIL : '') + features(whole.width, whole.height);
  return text + END;
}

/** In reading order. */
function tileTags({ rows, columns }: Pick<Cut, 'rows' | 'columns'>): string[] {
  return Array.from({ length: rows * columns }, (_, at) => {
    return `<|img_row_${Math.floor(at / columns) + 1}_col_${(at % columns) + 1}|>`;
  });
}

/** A tag that is no token would be read as text. */
export function checkTags({ special }: TemplateTokenizer, file: ConfigReader, settings: ImageSettings): void {
  const { minTiles, maxTiles } = settings;
  const tiles = settings.splitting ? grids(minTiles, maxTiles).flatMap(tileTags) : [];
  const tags = [START, END, THUMBNAIL, ...tiles];
  const missing = tags.find((tag) => !special.has(tag));
  if (missing !== undefined) throw file.error('added_tokens', `a list with ${missing}`);
}
