import type { CropLayout } from '../backend/image-splitter.ts';

/** A crop's channels as planes, one after the other, as most encoders read them. */
export function planes(width: number, height: number): CropLayout {
  return {
    rows: Uint32Array.from({ length: height }, (_, y) => y * width),
    columns: Uint32Array.from({ length: width }, (_, x) => x),
    channelStep: width * height,
    frames: 1,
    frameStep: 0,
  };
}
