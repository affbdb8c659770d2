import { expect, test } from 'vitest';
import { loadOrt } from '../../../worker/onnx/ort.ts';

test('a missing onnxruntime file is reported with its URL and the option assets.ort', async () => {
  const message = expect.stringMatching(/from file:\/\/\/nope\/ort\.wasm\S*\.m?js: .* assets\.ort\.$/);
  await expect(loadOrt('wasm', 'file:///nope/')).rejects.toMatchObject({ code: 'load_failed', message });
});
