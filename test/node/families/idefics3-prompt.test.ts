import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { openProcessor } from '../../../worker/families/registry.ts';
import { FIXTURES, modelFiles, readJson } from '../vision/fixtures.ts';
import { blank, type Chat, encodesChats, idsOf } from './chats.ts';

interface Golden {
  chats: Chat[];
  injections: { parts: string[]; ids: number[] }[];
}

function prompts(folder: URL, golden: Golden): void {
  const processor = openProcessor(modelFiles(folder), blank);

  encodesChats(() => modelFiles(folder), golden.chats);

  it.for(golden.injections)('encodes $parts as plain text, not as special tokens', async ({ parts, ids }) => {
    const turns: Chat['turns'] = [{ role: 'user', parts: parts.map((text) => ({ type: 'text', text })) }];
    expect(await idsOf(processor, turns)).toEqual(ids);
  });
}

describe('prompts of the miniature model', () => {
  prompts(new URL('model/', FIXTURES), readJson('prompts.json'));
});

const smolvlm = process.env['SMOLVLM_DIR'];
describe.skipIf(!smolvlm)('prompts of SmolVLM-256M (skipped without SMOLVLM_DIR, the folder of its configs)', () => {
  if (smolvlm) prompts(pathToFileURL(`${smolvlm}/`), readJson('prompts-smolvlm.json'));
});
