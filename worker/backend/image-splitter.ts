/** An image without alpha: `data` holds `width * height` RGB triples, rows from the top. */
export interface Rgb extends Size {
  data: Uint8Array<ArrayBuffer>;
}

export interface Size {
  width: number;
  height: number;
}

/** How an image becomes the values that a vision encoder reads. */
export interface SplitPlan {
  /** Lanczos resizes, each of the result of the one before; the first is of the image itself. */
  resizes: readonly Size[];
  /** What is cut out: squares with this corner at the top left, from the result of the resize with this index. */
  crops: readonly { resize: number; left: number; top: number }[];
  /** Edge of a crop, in pixels. */
  cropSize: number;
  /** Per channel: values are `(level / 255 - mean) / std`. */
  mean: readonly number[];
  std: readonly number[];
}

/** Resizes images and cuts crops out of them, on the GPU or on the CPU, to the same bits. */
export interface ImageSplitter {
  split(image: Rgb, plan: SplitPlan): Crops;
}

/** The crops of one image. */
export interface Crops {
  /**
   * The values of some crops, float32 [count, 3, size, size]: in memory, or at the start of a GPU buffer, which the next
   * batch is written to as well. On the GPU it waits until the last batch but one was encoded, so that an abort finds
   * little queued.
   */
  batch(first: number, count: number): Promise<Float32Array<ArrayBuffer> | GPUBuffer>;
  close(): void;
}
