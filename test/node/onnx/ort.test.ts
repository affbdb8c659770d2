import { expect, test } from 'vitest';
import { loadOrt } from '../../../worker/onnx/ort.ts';

test('files of the runtime that are not where they should be are named, and the option that says where', async () => {
  const message = expect.stringMatching(/from file:\/\/\/nope\/ort\.wasm\S*\.m?js: .* assets\.ort\.$/);
  await expect(loadOrt('wasm', 'file:///nope/')).rejects.toMatchObject({ code: 'load_failed', message });
});
