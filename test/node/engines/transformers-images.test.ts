import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, expect, test, vi } from 'vitest';
import { GREEDY, type Part } from '../../../src/protocol/job.ts';
import type { ModelSpec } from '../../../src/protocol/model-spec.ts';
import { specOfFolder } from '../../../tools/ask/model.mjs';
import type { Engine } from '../../../worker/engines/engine.ts';
import { transformersEngine } from '../../../worker/engines/transformers/transformers-engine.ts';
import { chatJob } from './chat-job.ts';
import { assets } from './dawn-engine.ts';
import { filesWith } from './disk-store.ts';
import { useFacade } from './use-facade.ts';

// The committed model as one of LLaVA's family, whose images transformers.js prepares.

const FOLDER = 'test/fixtures/tiny-llava';
const { signal } = new AbortController();
/** Rows that its vision encoder returns for an image. */
const ROWS = 64;

vi.mock('../../../worker/vision/image-decoder.ts', () => ({
  async decodeImage({ bytes }: { bytes: Uint8Array }) {
    const { data, info } = await sharp(bytes).removeAlpha().raw().toBuffer({ resolveWithObject: true });
    return { width: info.width, height: info.height, data: new Uint8Array(data) };
  },
}));

useFacade();

let spec: ModelSpec;

beforeAll(async () => {
  const found = await specOfFolder(FOLDER, 'https://example.com/');
  spec = { ...found, modelType: 'llava', variants: found.variants.filter(({ dtype }) => dtype === 'q4') };
});

/** Opens it with changes to its configs, and lists the files read. */
function open(changes: Record<string, object>, read: string[] = []): Promise<Engine> {
  const files = filesWith(async ({ path }) => {
    read.push(path);
    const bytes = readFileSync(join(FOLDER, path));
    if (path !== 'config.json' && !changes[path]) return bytes;
    const json = JSON.parse(bytes.toString()) as object;
    const asLlava = { model_type: 'llava', text_config: { ...json, model_type: 'qwen2' } };
    return Buffer.from(JSON.stringify({ ...json, ...(path === 'config.json' && asLlava), ...changes[path] }));
  });
  return transformersEngine.open({ spec, device: 'wasm', assets }, { files, emit() {}, signal });
}

const processor = (fields: object) => ({ 'processor_config.json': fields });

test.each([
  ['as the encoder has rows', {}],
  [
    'less the class token, which the encoder drops',
    { num_additional_image_tokens: 1, vision_feature_select_strategy: 'default' },
  ],
])('an image has as many tokens: %s', async (_, fields) => {
  const engine = await open(processor(fields));
  const parts: Part[] = [];
  const bytes = readFileSync(join(FOLDER, 'wide.png'));
  const job = chatJob({
    turns: [{ role: 'user', parts: [{ type: 'image', bytes, detail: 'auto', param: 'image' }] }],
    maxTokens: 4,
    sampling: { ...GREEDY, logitBias: [[766, -100]] },
  });
  await engine.answer(job, (part) => parts.push(part), signal);
  const usage = parts.at(-1);
  expect(usage).toMatchObject({ type: 'usage', completionTokens: 4 });
  expect(usage?.type === 'usage' && usage.promptTokens).toBeGreaterThan(ROWS);
  await engine.close();
});

test('configs of other graphs fail the load, not each image', async () => {
  await expect(open(processor({ num_additional_image_tokens: 1 }))).rejects.toMatchObject({
    code: 'load_failed',
    message: expect.stringContaining(`returns ${ROWS} rows for an image that has ${ROWS + 1} tokens`) as string,
  });
});

test('so do configs with which no image can be prepared', async () => {
  const size = { 'preprocessor_config.json': { size: { depth: 3 } } };
  await expect(open(size)).rejects.toMatchObject({
    code: 'load_failed',
    message: expect.stringContaining(
      'transformers.js cannot prepare an image with the configs of this model',
    ) as string,
  });
});

test.each([
  ['has another form', { text_config: undefined }, 'transformers.js cannot read the config.json of this model'],
  ['names another family', { model_type: 'of-tomorrow' }, "transformers.js knows no models of the type 'of-tomorrow'"],
])('a config that %s is refused before the graphs are read', async (_, fields, words) => {
  const read: string[] = [];
  await expect(open({ 'config.json': fields }, read)).rejects.toMatchObject({
    code: 'load_failed',
    message: expect.stringContaining(words) as string,
  });
  expect(read).toContain('config.json');
  expect(read.filter((path) => path.endsWith('.onnx'))).toEqual([]);
});
