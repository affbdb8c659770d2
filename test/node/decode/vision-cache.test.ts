import { expect, test } from 'vitest';
import type { Ort } from '../../../worker/onnx/ort.ts';
import type { Session } from '../../../worker/onnx/session.ts';
import { Vision } from '../../../worker/decode/vision.ts';
import type { Picture } from '../../../worker/vlm/family.ts';

test.each([
  ['float16', 2],
  ['float32', 4],
] as const)('features in %s are counted with the bytes that they take', async (type, bytes) => {
  const dims = [1, 8, 16];
  const size = 8 * 16;
  const features = { type, dims, size, dispose: () => {} };
  const session = { inputs: new Map(), run: async () => ({ image_features: features }) } as unknown as Session;
  const ort = { Tensor: Object } as unknown as Ort;
  const picture = { key: 'one', frames: 1, size: 4, tokens: 8 } as Picture;
  const views = { open: async () => ({ batch: async () => new Float32Array(48), close: () => {} }) };
  const vision = new Vision(ort, session, () => 1, views);
  await vision.encode([picture], new AbortController().signal);
  expect(vision.trim(size * bytes)).toBe(false);
  expect(vision.trim(size * bytes - 1)).toBe(true);
});
