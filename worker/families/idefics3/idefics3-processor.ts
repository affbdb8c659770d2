import type { Detail, Turn } from '../../../src/wire/job.ts';
import { decodePicture, type PicturePart } from '../../vision/image-decoder.ts';
import type { Family, FamilyFiles, Picture } from '../processor.ts';
import { type Identity, KnownPictures } from '../../vision/image-cache.ts';
import type { Rgb } from '../../vision/resample.ts';
import { PromptWriter } from './idefics3-prompt.ts';
import { chatTemplate, parse, rowsPerView, textConfig, viewSettings } from './idefics3-settings.ts';
import { openTokenizer } from '../tokenizer.ts';
import { cutViews, type Grid, gridOf, normalise, type Size, viewCount, type ViewSettings } from './idefics3-tiles.ts';

/** Decoded pixels of one request that are kept until they are needed (192 MiB); pictures beyond are decoded again there. */
const KEPT_PIXELS = 64 << 20;

/**
 * Opens the Idefics3 family, of which SmolVLM is the best known, from a model's own files.
 *
 * @param decode turns a picture's bytes into pixels, upright and on white; by default with the browser's decoders
 * @throws NearsightError `load_failed` naming the file and field that are not as this family needs them
 */
export function openFamily(files: FamilyFiles, decode: typeof decodePicture = decodePicture): Family {
  const config = parse(files, 'config.json');
  config.expect('model_type', 'idefics3');
  const settings = viewSettings(config, parse(files, 'preprocessor_config.json'));
  const rows = rowsPerView(config, parse(files, 'processor_config.json'));
  const tokenizer = openTokenizer(parse(files, 'tokenizer.json'));
  const writer = new PromptWriter(chatTemplate(files), tokenizer, rows);
  const imageTokenId = config.count('image_token_id');
  if (tokenizer.special.get('<image>') !== imageTokenId) throw config.error('image_token_id', 'the id of <image>');

  const known = new KnownPictures(decode);
  const read: Family['read'] = async (turns, maxPixels, remember, signal) => {
    const pictures: Picture[] = [];
    const grids: Grid[] = [];
    let room = KEPT_PIXELS;
    for (const part of picturesOf(turns)) {
      signal.throwIfAborted();
      const { identity, image } = await known.identify(part, maxPixels, remember);
      const grid = gridFor(identity, part.detail, settings);
      const frames = viewCount(grid);
      const size = identity.width * identity.height;
      const kept = size <= room ? image : undefined;
      if (kept) room -= size;
      const pixels = async (): Promise<Rgb> => kept ?? (await decode(part, maxPixels));
      grids.push(grid);
      pictures.push({
        key: keyOf(identity, grid),
        frames,
        tokens: frames * rows,
        size: settings.size,
        grid,
        settings,
        pixels,
        pixelValues: async () => normalise(cutViews(await pixels(), grid, settings), settings),
      });
    }
    return { ids: writer.write(turns, grids), pictures };
  };

  return {
    config: textConfig(config, parse(files, 'generation_config.json')),
    tokenizer,
    imageTokenId,
    view: settings.size,
    read,
    forget: () => known.forget(),
  };
}

function picturesOf(turns: readonly Turn[]): PicturePart[] {
  return turns.flatMap(({ parts }) => parts.filter((part) => part.type === 'picture'));
}

/**
 * The tiles that a request's `detail` asks for: `low` is one view, `high` is tiles and the whole.
 *
 * `auto` does what the model's own processor does by default, but for pictures that one view shrinks to no less than
 * half: tiles cost five to seventeen times the work and the context, and of few pixels they show nothing more.
 */
function gridFor(image: Size, detail: Detail, settings: ViewSettings): Grid {
  const large = Math.max(image.width, image.height) > 2 * settings.size;
  const tiles = detail === 'high' || (detail === 'auto' && settings.splitting && large);
  return tiles ? gridOf(image, settings) : { rows: 0, columns: 0 };
}

/** Pixels and cut, as text. */
function keyOf({ width, height, hash }: Identity, { rows, columns }: Grid): string {
  return `${width}x${height}/${rows}x${columns}/${hash}`;
}
