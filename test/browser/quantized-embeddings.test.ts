import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { quantizeEmbeddings } from '../fixtures/quantize-embeddings.ts';
import { openPage, nightlyInChromium } from './harness/harness.ts';

const PATH = 'onnx/embed_tokens_blocks.onnx';
const folder = new URL('../../models/glimpse/', import.meta.url);

test.each([true, false])(
  '4-bit embeddings are looked up, on wasm and on WebGPU; zero points: %s',
  nightlyInChromium,
  async (zeros) => {
    const file = quantizeEmbeddings(readFileSync(new URL('onnx/embed_tokens_q4.onnx', folder)), zeros);
    const sha256 = createHash('sha256').update(file).digest('hex');
    await using page = await openPage({
      answer: ({ url }) => (url.endsWith(PATH) ? new Response(file) : undefined),
    });
    const embed = { path: PATH, bytes: file.length, sha256, url: `${page.origin}/${PATH}` };
    const ask = (device: 'wasm' | 'webgpu') =>
      page.evaluate(
        async (on, quantized) => {
          const [{ graphs, ...variant }] = glimpse.variants as [(typeof glimpse.variants)[number]];
          const variants = [{ ...variant, graphs: { ...graphs, embed: { file: quantized, data: [] } } }];
          const near = nearsight.createNearsight({ model: { ...glimpse, id: 'blocks', variants }, device: on });
          const { reason } = await near.load();
          const { image, question } = goldens.imageFirst;
          const content = [
            { type: 'image_url', image_url: { url: image } },
            { type: 'text', text: question },
          ];
          const fields = { max_tokens: 12, logit_bias: { 1279: -100 }, return_token_ids: true };
          const body = JSON.stringify({ model: 'blocks', messages: [{ role: 'user', content }], ...fields });
          const url = 'https://integrate.api.nvidia.com/v1/chat/completions';
          const response = await near.fetch(url, { method: 'POST', body });
          const { choices, error } = await response.json();
          near.dispose();
          return { reason, error: error ?? null, tokens: choices?.[0].token_ids as number[] };
        },
        device,
        embed,
      );
    const onWasm = await ask('wasm');
    expect(onWasm).toMatchObject({ error: null, tokens: expect.objectContaining({ length: 12 }) as unknown });
    const onGpu = await ask('webgpu');
    expect(onGpu.tokens).toEqual(onWasm.tokens);
    // The embeddings are not a graph, so steps are captured.
    expect(onGpu.reason).not.toMatch(/not captured/);
  },
);
