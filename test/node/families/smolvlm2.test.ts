import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { openProcessor } from '../../../worker/families/registry.ts';
import { tinyAvailable, tinyFile, tinyMissing } from '../../fixtures/tiny-folders.ts';

test.skipIf(tinyAvailable)(tinyMissing, () => {});

test.skipIf(!tinyAvailable)(
  'the chat template is found in tokenizer_config.json too, where the pinned spec has it',
  () => {
    const names = [
      'config',
      'generation_config',
      'preprocessor_config',
      'processor_config',
      'tokenizer',
      'tokenizer_config',
    ];
    const files = new Map<string, Uint8Array>(
      names.map((name) => [`${name}.json`, readFileSync(tinyFile('smolvlm2-tiny', `${name}.json`))]),
    );
    const json = (bytes: Uint8Array): object => JSON.parse(new TextDecoder().decode(bytes)) as object;
    const template = json(readFileSync(tinyFile('smolvlm2-tiny', 'chat_template.json')));
    const config = json(files.get('tokenizer_config.json')!);
    files.set('tokenizer_config.json', new TextEncoder().encode(JSON.stringify({ ...config, ...template })));
    expect(openProcessor(files).config.vocab).toBe(1024);
    files.set(
      'tokenizer_config.json',
      new TextEncoder().encode(JSON.stringify({ ...config, chat_template: undefined })),
    );
    expect(() => openProcessor(files)).toThrow('chat_template should be a string');
  },
);
