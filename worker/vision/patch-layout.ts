import type { CropLayout } from '../backend/image-splitter.ts';
import { CHANNELS } from './cpu-image-splitter.ts';

/** How an encoder reads an image as square patches. */
export interface PatchOptions {
  /** Edge of a patch, in pixels. */
  patch: number;
  /** Patches are ordered in squares of this edge, whose features the encoder merges into one; default: 1. */
  merge?: number;
  /** Equal frames that a still image is read as; default: 1. */
  frames?: number;
  /** Whether the channels of each pixel are beside one another; otherwise each patch has planes, and its frames in them. */
  channelsLast?: boolean;
}

/** A crop of `rows` x `columns` patches, each with all its values, one after the other. */
export function patchLayout(
  rows: number,
  columns: number,
  { patch, merge = 1, frames = 1, channelsLast = false }: PatchOptions,
): CropLayout {
  const patchValues = CHANNELS * frames * patch ** 2;
  const pixelStep = channelsLast ? CHANNELS : 1;
  /** Along an axis: the index of the patch among those of the image, and the pixel's in it. */
  const along = (edge: number, squareStep: number, mergeStep: number, step: number): Uint32Array<ArrayBuffer> =>
    Uint32Array.from({ length: edge * patch }, (_, at) => {
      const index = Math.floor(at / patch);
      const inSquare = index % merge;
      const before = ((index - inSquare) / merge) * squareStep + inSquare * mergeStep;
      return before * patchValues + (at % patch) * step;
    });
  return {
    rows: along(rows, columns * merge, merge, patch * pixelStep),
    columns: along(columns, merge ** 2, 1, pixelStep),
    channelStep: channelsLast ? 1 : frames * patch ** 2,
    frames,
    frameStep: patch ** 2,
  };
}
