import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { openEngine } from './dawn-engine.ts';

test('a decoder that cannot append to its cache in place is not opened on the GPU', { tags: ['long'] }, async () => {
  const file = (name: string): string => (name === 'decoder_model_merged' ? 'embed_tokens' : name);
  const read = (name: string): Uint8Array =>
    readFileSync(new URL(`../../../models/glimpse/onnx/${file(name)}_q4.onnx`, import.meta.url));
  await expect(openEngine('webgpu', read)).rejects.toMatchObject({
    code: 'unsupported_device',
    message: expect.stringContaining('has no GroupQueryAttention'),
  });
});

test('a vision encoder without features that the decoder takes is refused when it is opened', async () => {
  const file = (name: string): string => (name === 'vision_encoder' ? 'embed_tokens' : name);
  const read = (name: string): Uint8Array =>
    readFileSync(new URL(`../../../models/glimpse/onnx/${file(name)}_q4.onnx`, import.meta.url));
  await expect(openEngine('wasm', read)).rejects.toMatchObject({
    code: 'load_failed',
    message: 'A graph gives no image_features, and the decoder takes float32 inputs_embeds.',
  });
});
