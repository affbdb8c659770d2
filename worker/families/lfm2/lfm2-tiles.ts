import type { Crop, Size, SplitPlan } from '../../backend/image-splitter.ts';
import { CHANNELS } from '../../vision/cpu-image-splitter.ts';
import { patchLayout } from '../../vision/patch-layout.ts';
import { roundToEven, smartResize } from '../smart-resize.ts';
import type { ImageSettings } from './lfm2-settings.ts';

/** How an image is cut. */
export interface Cut {
  /** Tiles, each of `tileSize`; 0 x 0 if it is not split. */
  rows: number;
  columns: number;
  /** The whole image scaled, unless only its tiles are read. */
  whole?: Size | undefined;
}

/** Cuts an image as the Python `Lfm2VlImageProcessor` does: large ones into tiles, to the pixel. */
export function cutImage(image: Size, splitting: boolean, settings: ImageSettings): Cut {
  const whole = smartResize(image, settings, settings.factor);
  if (!splitting || !isLarge(image, settings)) return { rows: 0, columns: 0, whole };
  const { rows, columns } = tileGrid(image, settings);
  return { rows, columns, whole: settings.thumbnail ? whole : undefined };
}

function isLarge({ width, height }: Size, { patch, factor, largePixels }: ImageSettings): boolean {
  const rounded = (edge: number): number => Math.max(patch, roundToEven(edge / factor) * factor);
  return rounded(width) * rounded(height) > largePixels;
}

/** The grid whose aspect ratio is closest to the image's: of equal ones, a larger one if the image has pixels for half of it. */
function tileGrid({ width, height }: Size, { minTiles, maxTiles, tileSize }: ImageSettings): Omit<Cut, 'whole'> {
  const aspect = width / height;
  let best = { rows: 1, columns: 1 };
  let closest = Infinity;
  for (const grid of grids(minTiles, maxTiles)) {
    const distance = Math.abs(aspect - grid.columns / grid.rows);
    const enough = width * height > 0.5 * tileSize ** 2 * grid.rows * grid.columns;
    if (distance < closest || (distance === closest && enough)) best = grid;
    closest = Math.min(closest, distance);
  }
  return best;
}

/** All grids of so many tiles, those with fewer first. */
export function grids(minTiles: number, maxTiles: number): { rows: number; columns: number }[] {
  const counts = Array.from({ length: maxTiles - minTiles + 1 }, (_, at) => minTiles + at);
  return counts.flatMap((tiles) =>
    Array.from({ length: tiles }, (_, at) => ({ columns: at + 1, rows: tiles / (at + 1) })).filter(({ rows }) =>
      Number.isInteger(rows),
    ),
  );
}

/** The sizes of an image's crops in patches: its tiles in reading order, then the whole. */
export function cropShapes({ rows, columns, whole }: Cut, { tileSize, patch }: ImageSettings): Size[] {
  const inPatches = ({ width, height }: Size): Size => ({ width: width / patch, height: height / patch });
  const tile = inPatches({ width: tileSize, height: tileSize });
  return [...Array.from({ length: rows * columns }, () => tile), ...(whole ? [inPatches(whole)] : [])];
}

/** The crops of an image, as patches. Unlike Idefics3's, tiles and the whole are each scaled from the image itself. */
export function splitPlan(cut: Cut, settings: ImageSettings): SplitPlan {
  const { rows, columns, whole } = cut;
  const { tileSize, patch, maxPatches, levels } = settings;
  const options = { patch, channelsLast: true };
  const edge = tileSize / patch;
  const tile = patchLayout(edge, edge, options);
  const tiles = rows * columns > 0 ? [{ width: columns * tileSize, height: rows * tileSize }] : [];
  const crops: Crop[] = Array.from({ length: rows * columns }, (_, at) => ({
    resize: 0,
    left: (at % columns) * tileSize,
    top: Math.floor(at / columns) * tileSize,
    layout: tile,
  }));
  if (whole) {
    const layout = patchLayout(whole.height / patch, whole.width / patch, options);
    crops.push({ resize: tiles.length, left: 0, top: 0, layout });
  }
  const resizes = [...tiles, ...(whole ? [{ ...whole, ofImage: true }] : [])];
  return { ...levels, resizes, crops, cropValues: maxPatches * patch ** 2 * CHANNELS };
}
