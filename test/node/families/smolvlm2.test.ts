import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it, test } from 'vitest';
import type { Turn, TurnPart } from '../../../src/protocol/job.ts';
import { openProcessor } from '../../../worker/families/registry.ts';
import { readHeader } from '../../../worker/vision/image-header.ts';
import { modelFiles } from '../vision/fixtures.ts';

interface Case {
  messages: { role: Turn['role']; content: { type: 'text' | 'image'; text?: string }[] }[];
  images: string[];
  input_ids: number[];
  processor_options?: { do_image_splitting?: boolean };
}

const shared = process.env['NEARSIGHT_SHARED'];
const tiny = shared
  ? new URL(`file://${shared}/models/tiny/`)
  : new URL('../../../../shared/models/tiny/', import.meta.url);
const folder = new URL('smolvlm2-tiny/', tiny);
const here = existsSync(folder);

test.skipIf(here)('the tiny SmolVLM2 is not here: set NEARSIGHT_SHARED to the folder that has it', () => {});

describe.skipIf(!here)('SmolVLM2', () => {
  const golden = (here ? JSON.parse(readFileSync(new URL('golden.json', folder), 'utf8')) : { cases: {} }) as {
    cases: Record<string, Case>;
  };
  const open = () =>
    // The prompt depends only on the image's size, and Node cannot decode images.
    openProcessor(modelFiles(folder), async ({ bytes }) => {
      const { width, height } = readHeader(bytes);
      return { width, height, data: new Uint8Array(width * height * 3) };
    });

  it.for(Object.entries(golden.cases))(
    'encodes the case %s to the ids of the Python processor',
    async ([, expected]) => {
      let image = 0;
      const part = ({ type, text = '' }: { type: string; text?: string }): TurnPart => {
        if (type === 'text') return { type, text };
        const bytes = new Uint8Array(readFileSync(new URL(`pictures/${expected.images[image++] ?? ''}`, tiny)));
        return {
          type: 'image',
          bytes,
          detail: expected.processor_options?.do_image_splitting === false ? 'low' : 'high',
          param: 'image',
        };
      };
      const turns = expected.messages.map(({ role, content }): Turn => ({ role, parts: content.map(part) }));
      const { ids } = await open().encodeChat(turns, 1e8, true, new AbortController().signal);
      expect([...ids]).toEqual(expected.input_ids);
    },
  );

  it('finds the chat template in tokenizer_config.json too, where the pinned spec has it', () => {
    const files = modelFiles(folder);
    const template = JSON.parse(new TextDecoder().decode(files.get('chat_template.json'))) as object;
    const config = JSON.parse(new TextDecoder().decode(files.get('tokenizer_config.json'))) as object;
    files.delete('chat_template.json');
    files.set('tokenizer_config.json', new TextEncoder().encode(JSON.stringify({ ...config, ...template })));
    expect(openProcessor(files).imageTokenId).toBe(open().imageTokenId);
  });
});
