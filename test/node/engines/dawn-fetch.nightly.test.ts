// @module-tag nightly
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import type { ModelSpec } from '../../../src/protocol/model-spec.ts';
import { tinyAvailable, tinyCases, tinyFile, tinyMissing, tinySpec } from '../../fixtures/tiny-folders.ts';

const FOLDERS = [
  'smolvlm2-tiny',
  'smolvlm2-tiny-gqa',
  'granite-docling-tiny',
  'qwen3.5-tiny',
  'gemma3-tiny',
  'fastvlm-tiny',
  // Not lfm2-vl-tiny: LLVM 15, in lavapipe, compiles the attention of its vision encoder for more than 15 minutes.
];

interface Answered {
  facts: { device: string; dtype: string; engine: string };
  answers: { error?: object; prompt_token_ids?: number[]; choices?: { token_ids: number[] }[] }[];
}

test.skipIf(tinyAvailable)(tinyMissing, () => {});

test.skipIf(!tinyAvailable).for(FOLDERS)(
  '%s: the built package on Dawn answers through nearsight.fetch as the Python reference does',
  { timeout: 900_000 },
  async (folder, { signal }) => {
    // A chat's template has its own settings.
    const cases = tinyCases(folder).filter(({ templateOptions }) => !templateOptions);
    const spec = await tinySpec(folder, 'q4', '');
    const model = { ...spec, baseURL: pathToFileURL(tinyFile(folder, '')).href };
    const { facts, answers } = await ask(
      model,
      cases.map(({ request }) => request),
      signal,
    );
    expect(facts).toMatchObject({ device: 'webgpu', dtype: 'q4' });
    const seen = answers.map(({ error, prompt_token_ids, choices }) => ({
      error,
      promptIds: prompt_token_ids,
      tokens: choices?.[0]?.token_ids,
    }));
    expect(seen).toEqual(cases.map(({ promptIds, tokens }) => ({ error: undefined, promptIds, tokens })));
  },
);

/** In a process of its own, because page and worker share its globals. */
async function ask(model: ModelSpec, requests: object[], signal: AbortSignal): Promise<Answered> {
  const page = spawn(process.execPath, [fileURLToPath(new URL('dawn-page.mjs', import.meta.url))], { signal });
  page.stdin.end(JSON.stringify({ model, requests }));
  const [output, errors] = await Promise.all([text(page.stdout), text(page.stderr), once(page, 'close')]);
  const [answered] = output.split('\n').filter((line) => line.startsWith('{"facts":'));
  if (answered === undefined) throw new Error(errors);
  return JSON.parse(answered) as Answered;
}
