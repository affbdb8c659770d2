// @module-tag long
// @module-tag nightly
import { createReadStream, statSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { specOfFolder } from '../../tools/ask/model.mjs';
import { fillStandin, standinAvailable, standinFolder } from '../../tools/standin.mjs';
import { openPage } from './harness/harness.ts';
import { openPageWithFaults, type FaultPlan } from './harness/fault-injection.ts';

/** The model's files, from the page's own server. */
function modelServer(request: Request): Response | undefined {
  const { pathname } = new URL(request.url);
  if (!pathname.startsWith('/standin/')) return undefined;
  const file = join(standinFolder, pathname.slice('/standin/'.length));
  const body = Readable.toWeb(createReadStream(file)) as ReadableStream<Uint8Array<ArrayBuffer>>;
  return new Response(body, { headers: { 'content-length': String(statSync(file).size) } });
}

if (!standinAvailable) console.warn('Skipped: the full-size stand-in for SmolVLM-256M is not on this machine.');

describe.skipIf(!standinAvailable)('SmolVLM-256M at full size, with random weights', () => {
  test('loads from a server with progress in bytes, checks hashes, and answers about an image', async () => {
    fillStandin('q4');
    await using page = await openPage({ answer: modelServer });
    const spec = await specOfFolder(standinFolder, `${page.origin}/standin/`);
    const result = await page.evaluate(async (model) => {
      const near = nearsight.createNearsight({ model, device: 'wasm' });
      const bytes: [number, number][] = [];
      near.status.subscribe((value) => {
        if (value.state === 'downloading') bytes.push([value.loadedBytes, value.totalBytes]);
      });
      const facts = await near.load();
      const canvas = document.createElement('canvas');
      canvas.width = 640;
      canvas.height = 480;
      canvas.getContext('2d')!.fillRect(100, 100, 300, 200);
      const blob = await new Promise<Blob>((resolve) => canvas.toBlob((made) => resolve(made!)));
      const url = 'https://integrate.api.nvidia.com/v1/chat/completions';
      const data = new Uint8Array(await blob.arrayBuffer());
      const image = `data:image/png;base64,${btoa(String.fromCharCode(...data))}`;
      const content = [
        { type: 'image_url', image_url: { url: image, detail: 'low' } },
        { type: 'text', text: 'Can you describe this image?' },
      ];
      const body = JSON.stringify({ model: model.id, messages: [{ role: 'user', content }], max_tokens: 4 });
      const response = await near.fetch(url, { method: 'POST', body });
      const { usage, choices } = await response.json();
      near.dispose();
      return { facts, first: bytes[0], last: bytes.at(-1), events: bytes.length, usage, choices };
    }, spec);
    const variant = spec.variants.find(({ dtype }) => dtype === 'q4'); // another test may have filled more
    if (!variant) throw new Error('the stand-in has no graphs');
    const files = [...spec.files, ...Object.values(variant.graphs).map(({ file }) => file)];
    const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(result.facts).toMatchObject({ device: 'wasm', dtype: 'q4' });
    expect(result.last).toEqual([total, total]);
    expect(result.events).toBeGreaterThan(10);
    // The Python processor gives 81 tokens for this chat, 64 of them for the image.
    expect(result.usage).toMatchObject({ prompt_tokens: 81, completion_tokens: 4 });
    expect(result.choices[0].finish_reason).toBe('length');
    expect(page.foreign).toEqual([]);
  }, 400_000);

  test('on wasm: the same answers with dequantized weights, without enough memory for them, and when memory runs out', async () => {
    fillStandin('q4');
    const answerWith = async (plan: FaultPlan): Promise<Answer> => {
      await using page = await openPageWithFaults({ plan, answer: modelServer });
      const spec = await specOfFolder(standinFolder, `${page.origin}/standin/`);
      return await page.evaluate(async (model) => {
        const near = nearsight.createNearsight({ model, device: 'wasm' });
        const { reason } = await near.load();
        const messages = [{ role: 'user', content: 'Can you tell me a story?' }];
        const body = JSON.stringify({ model: model.id, messages, max_tokens: 8, logprobs: true });
        const url = 'https://integrate.api.nvidia.com/v1/chat/completions';
        const response = await near.fetch(url, { method: 'POST', body });
        const { choices } = await response.json();
        near.dispose();
        const tokens: { token: string; logprob: number }[] = choices[0].logprobs.content;
        return {
          reason,
          tokens: tokens.map(({ token }) => token),
          logprobs: tokens.map(({ logprob }) => logprob),
        };
      }, spec);
    };
    // Independent of the memory that this machine has.
    const dequantized = await answerWith({ deviceMemory: 8 });
    expect(dequantized.reason).toMatch(/; weights dequantized$/);
    expect(dequantized.tokens).toHaveLength(8);
    const little = await answerWith({ deviceMemory: 4 });
    expect(little.reason).toMatch(/; weights stay quantized \(.*navigator\.deviceMemory is 4, not 8\)$/);
    const full = await answerWith({ deviceMemory: 8, maxHeapBytes: 500 << 20 });
    expect(full.reason).toMatch(/; weights stay quantized \(dequantized, they could not be opened: .*bad_alloc/);
    for (const answer of [little, full]) {
      expect(answer.tokens).toEqual(dequantized.tokens);
      for (const [at, logprob] of answer.logprobs.entries())
        expect(logprob).toBeCloseTo(dequantized.logprobs[at] ?? NaN, 3);
    }
  }, 600_000);
});

interface Answer {
  reason: string;
  tokens: string[];
  logprobs: number[];
}
