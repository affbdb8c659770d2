import type { Picture } from '../../../worker/families/processor.ts';

/** A picture of which only the values of its views are known: it can be encoded, and not cut again. */
export function pictureOfValues(
  key: string,
  values: Float32Array<ArrayBuffer>,
  rest: Pick<Picture, 'frames' | 'tokens' | 'size'>,
): Picture {
  return {
    key,
    ...rest,
    grid: { rows: 0, columns: 0 },
    settings: { size: rest.size, longestEdge: rest.size, splitting: false, mean: [], std: [] },
    pixels: () => Promise.reject(new Error('there is no picture behind these values')),
    pixelValues: async () => values,
  };
}
