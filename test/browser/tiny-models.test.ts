import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serveTiny, tinyAvailable, tinyCases, tinyMissing, tinySpec } from '../fixtures/tiny-folders.ts';
import { nightlyInChromium, openPage, type TestPage } from './harness/harness.ts';

/** Models whose tiny twins are answered by the fast path. `npm test` runs the first: Node's tests have them all. */
const FAST = ['smolvlm2-tiny', 'smolvlm2-tiny-gqa', 'granite-docling-tiny'];

/** And those of the second engine, likewise. */
const OTHERS = ['qwen3.5-tiny', 'gemma3-tiny', 'fastvlm-tiny', 'lfm2-vl-tiny'];

test.skipIf(tinyAvailable)(tinyMissing, () => {});

describe.skipIf(!tinyAvailable).each([...FAST, ...OTHERS])('%s', (folder) => {
  // A chat's template has its own settings.
  const cases = tinyCases(folder).filter(({ templateOptions }) => !templateOptions);

  describe.each(['wasm', 'webgpu'] as const)('on %s gives the ids of the Python reference', (device) => {
    const isFirst = [FAST[0], OTHERS[0]].includes(folder);
    const { tags } = device === 'webgpu' ? nightlyInChromium : { tags: isFirst ? [] : ['long'] };
    let page: TestPage;

    beforeAll(async () => {
      page = await openPage({ answer: serveTiny });
      const spec = await tinySpec(folder, 'q4', page.origin);
      await page.evaluate(
        async (model, on) => {
          const near = nearsight.createNearsight({ model, device: on });
          await near.load();
          Object.assign(globalThis, { near });
        },
        spec,
        device,
      );
    });

    afterAll(async () => {
      await page?.[Symbol.asyncDispose]();
    });

    test.each(cases)('$name', { tags }, async ({ request, promptIds, tokens }) => {
      const body = JSON.stringify({ model: folder, ...request });
      const answer = await page.evaluate(async (text) => {
        const { near } = globalThis as unknown as { near: import('nearsight').Nearsight };
        const url = 'https://integrate.api.nvidia.com/v1/chat/completions';
        const response = await near.fetch(url, { method: 'POST', body: text });
        const { error, prompt_token_ids, choices } = await response.json();
        return { error, prompt: prompt_token_ids, tokens: choices?.[0].token_ids };
      }, body);
      expect(answer).toEqual({ prompt: promptIds, tokens });
      expect(page.foreign).toEqual([]);
    });
  });
});
