import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import type { Rgb } from '../../../worker/backend/image-splitter.ts';

/** Golden files that `test/fixtures/vlm/make.py` writes with the Python reference. */
export const FIXTURES = new URL('../../fixtures/vlm/', import.meta.url);

/** Every JSON file of a model's folder, as `openProcessor` takes them. */
export function modelFiles(folder: URL): Map<string, Uint8Array> {
  const names = readdirSync(folder).filter((name) => name.endsWith('.json'));
  return new Map(names.map((name) => [name, readFileSync(new URL(name, folder))]));
}

export function readJson<T>(name: string): T {
  const value: T = JSON.parse(readFileSync(new URL(name, FIXTURES), 'utf8'));
  return value;
}

/** A file of `images/`. */
export function bytesOfImage(file: string): Uint8Array {
  return readFileSync(new URL(`images/${file}`, FIXTURES));
}

/** How the reference splits an image, from `crops.json`. */
export interface GoldenCrops {
  image: [number, number];
  size: number;
  longestEdge: number;
  splitting: boolean;
  mean: number[];
  std: number[];
  grid: [number, number];
  shape: number[];
  sha256: string;
}

export function sha256(data: NodeJS.ArrayBufferView): string {
  return createHash('sha256').update(data).digest('hex');
}

/** The pixels that the reference resizes: `pattern` in `make.py`. */
export function pattern(width: number, height: number): Rgb {
  const data = new Uint8Array(width * height * 3);
  let to = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const first = x * x * 7 + y * 13 + ((x * y) >> 3) * 11 + ((x ^ y) & 16) * 9;
      for (let c = 0; c < 3; c++) data[to++] = first + c * 50;
    }
  }
  return { width, height, data };
}
