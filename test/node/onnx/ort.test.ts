import { expect, test } from 'vitest';
import { loadOrt } from '../../../worker/onnx/ort.ts';

test('a missing onnxruntime file is reported with its URL and both ways to provide it', async () => {
  const message = expect.stringMatching(
    /from file:\/\/\/nope\/ort\.wasm\S*\.m?js: .*npx nearsight assets.*optimizeDeps/,
  );
  await expect(loadOrt('wasm', 'file:///nope/')).rejects.toMatchObject({ code: 'load_failed', message });
});
