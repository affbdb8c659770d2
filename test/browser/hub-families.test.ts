import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import golden from '../fixtures/tiny-llava/golden.json' with { type: 'json' };
import { startHub } from '../hub/hub-server.ts';
import { openPage } from './harness/harness.ts';

const FOLDER = 'test/fixtures/tiny-llava/';
const COMMIT = '1234567890123456789012345678901234567890';
const image = `data:image/png;base64,${readFileSync(`${FOLDER}wide.png`, 'base64')}`;

test('a repository of another family is probed, loaded by the engine for it, and answers as the reference', async () => {
  const paths = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' }).filter((path) =>
    /\.json$|\.onnx/.test(path),
  );
  const hub = await startHub({
    repositories: [
      {
        id: 'org/tiny',
        revisions: { [COMMIT]: Object.fromEntries(paths.map((path) => [path, FOLDER + path])) },
        branches: { main: COMMIT },
        license: 'apple-amlr',
      },
    ],
  });
  try {
    await using page = await openPage({ policy: null });
    const { text, wide } = golden.cases;
    const chats = JSON.parse(JSON.stringify([text.messages, wide.messages]).replace('wide.png', image)) as object[];
    const seen = await page.evaluate(
      async (baseURL, given) => {
        const near = nearsight.createNearsight({ model: { hub: 'org/tiny', baseURL }, device: 'wasm' });
        const verdict = await near.probe();
        const facts = await near.load();
        const ids: unknown[] = [];
        for (const messages of given) {
          const request = { model: 'org/tiny', messages, temperature: 0, max_tokens: 16, return_token_ids: true };
          const body = JSON.stringify(request);
          const response = await near.fetch('https://integrate.api.nvidia.com/v1/chat/completions', {
            method: 'POST',
            body,
          });
          const { choices, prompt_token_ids } = await response.json();
          ids.push([prompt_token_ids, choices?.[0].token_ids]);
        }
        near.dispose();
        return { verdict, facts, ids };
      },
      hub.origin,
      chats,
    );
    const licence = { restricted: true, restriction: 'For research only, not for products' };
    expect(seen.verdict).toMatchObject({ verdict: 'yes', dtype: 'q4', licence });
    expect(seen.facts).toMatchObject({ engine: 'transformers', licence });
    expect(seen.facts.reason).toMatch(
      /model_type 'llava_qwen2', which the engine 'transformers' runs, in q4, at commit 1234567/,
    );
    expect(seen.ids).toEqual([text, wide].map(({ input_ids, tokens }) => [input_ids, tokens]));
  } finally {
    await hub.close();
  }
});
