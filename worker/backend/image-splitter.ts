/** An image without alpha: `data` holds `width * height` RGB triples, rows from the top. */
export interface Rgb extends Size {
  data: Uint8Array<ArrayBuffer>;
}

export interface Size {
  width: number;
  height: number;
}

/** Filters of Pillow, each stretched to cover all input samples where an image is scaled down. */
export type Filter = 'lanczos' | 'bicubic' | 'bilinear';

/** What an image is resized to. */
export interface Resize extends Size {
  /** The only part of the result that is computed; default: all of it. */
  part?: Size & { left: number; top: number };
  /** Of the image itself, and not of the result of the resize before. */
  ofImage?: boolean;
}

/** How an image becomes the values that a vision encoder reads. */
export interface SplitPlan {
  filter: Filter;
  /** Each of the result of the one before, if it does not say otherwise; the first is of the image itself. */
  resizes: readonly Resize[];
  crops: readonly Crop[];
  /** Values of each crop. Those that its layout leaves out are 0. */
  cropValues: number;
  /** Per channel: values are `(level / 255 - mean) / std`. */
  mean: readonly number[];
  std: readonly number[];
}

/** What is cut out of the result of the resize with this index, from this corner at the top left. */
export interface Crop {
  resize: number;
  left: number;
  top: number;
  /** Has the crop's size as well. */
  layout: CropLayout;
}

/** Where the values of a pixel go: the red one to `rows[y] + columns[x]`, each further channel `channelStep` after that. */
export interface CropLayout {
  rows: Uint32Array<ArrayBuffer>;
  columns: Uint32Array<ArrayBuffer>;
  channelStep: number;
  /** Each value is written as often, `frameStep` apart: an encoder of videos reads a still image as equal frames. */
  frames: number;
  frameStep: number;
}

/** Resizes images and cuts crops out of them, on the GPU or on the CPU, to the same bits. */
export interface ImageSplitter {
  split(image: Rgb, plan: SplitPlan): Crops;
}

/** The crops of one image. */
export interface Crops {
  /**
   * The values of some crops, float32, `cropValues` for each: in memory, or at the start of a GPU buffer, which the next
   * batch is written to as well. On the GPU it waits until the last batch but one was encoded, so that an abort finds
   * little queued.
   */
  batch(first: number, count: number): Promise<Float32Array<ArrayBuffer> | GPUBuffer>;
  close(): void;
}
