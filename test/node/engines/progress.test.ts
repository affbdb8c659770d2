import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { glimpse } from '../../../models/glimpse.ts';
import { NearsightError } from '../../../src/protocol/errors.ts';
import type { LoadPart } from '../../../src/protocol/calls.ts';
import type { ModelFile, ModelSpec } from '../../../src/protocol/model-spec.ts';
import { type OpenEngineOptions, openEngine } from '../../../worker/engines/onnx/onnx-engine.ts';
import { LoadProgress } from '../../../worker/engines/onnx/progress.ts';
import { readFile } from '../../../worker/storage/http-store.ts';
import { assets } from './dawn-engine.ts';
import { fakeAdapter } from '../webgpu/fake-gpu.ts';

type Download = Extract<LoadPart, { type: 'download' }>;

const bytesOf = ({ url }: ModelFile): Buffer => readFileSync(fileURLToPath(String(url)));

/** As a bundler makes it. */
const inline = (file: ModelFile): ModelFile => ({
  ...file,
  url: `data:application/octet-stream;base64,${bytesOf(file).toString('base64')}`,
});

/** Opens and closes a model. Returns what was told of downloads, checked for what holds of every load. */
async function downloads(changes: Partial<OpenEngineOptions>): Promise<Download[]> {
  const parts: LoadPart[] = [];
  const { signal } = new AbortController();
  const emit = (part: LoadPart): void => void parts.push(part);
  const model = await openEngine({ spec: glimpse, device: 'wasm', assets, read: readFile, emit, signal, ...changes });
  await model.close();
  const told = parts.filter((part) => part.type === 'download');
  expect(told.filter(({ loadedBytes, totalBytes }) => loadedBytes >= totalBytes)).toEqual([told.at(-1)]);
  expect(told.at(-1)!.loadedBytes).toBe(told.at(-1)!.totalBytes);
  for (const [at, { loadedBytes }] of told.entries()) {
    expect(loadedBytes).toBeGreaterThan(told[at - 1]?.loadedBytes ?? 0);
  }
  expect(parts.at(-1)).toEqual({ type: 'prepare', done: 4, of: 4 });
  return told;
}

afterEach(() => {
  vi.unstubAllGlobals();
});

describe('progress reaches 100 % once, at the end,', () => {
  const [variant] = glimpse.variants;
  const { vision, embed, decoder } = variant!;
  const total = [...glimpse.files, vision, embed, decoder].reduce((sum, { bytes }) => sum + bytes, 0);

  test('where a bundler inlined all files', async () => {
    const { vision, embed, decoder } = variant!;
    const inlined = { ...variant!, vision: inline(vision), embed: inline(embed), decoder: inline(decoder) };
    const spec: ModelSpec = { ...glimpse, files: glimpse.files.map(inline), variants: [inlined] };
    const told = await downloads({ spec });
    expect(told.at(-1)).toMatchObject({ totalBytes: total });
    expect(told).toHaveLength(glimpse.files.length + 3);
  });

  test.each([
    ['some', 0.5],
    ['all', 1],
  ])('where a variant failed of whose first file %s bytes had come', async (_, share) => {
    vi.stubGlobal('navigator', { gpu: { requestAdapter: async () => fakeAdapter().adapter }, hardwareConcurrency: 1 });
    let failed = false;
    const read: OpenEngineOptions['read'] = async (file, onBytes) => {
      const fails = file.path === vision.path && !failed;
      onBytes(Math.floor(file.bytes * (fails ? share : 1)));
      if (!fails) return bytesOf(file);
      failed = true;
      throw new NearsightError('unsupported_device', 'as if it were computed wrongly');
    };
    const told = await downloads({ device: 'auto', spec: { ...glimpse, variants: [variant!] }, read });
    expect(told.at(-1)).toMatchObject({ totalBytes: total + Math.floor(vision.bytes * share) });
  });
});

test('a variant that fails when all of it is here has not reached 100 %', () => {
  const parts: LoadPart[] = [];
  const progress = new LoadProgress((part) => parts.push(part));
  progress.plan(10, 1);
  progress.add(4);
  progress.add(6);
  progress.plan(5, 1);
  progress.add(3);
  progress.add(2);
  progress.end();
  expect(parts).toEqual([
    { type: 'download', loadedBytes: 4, totalBytes: 10 },
    { type: 'download', loadedBytes: 13, totalBytes: 15 },
    { type: 'download', loadedBytes: 15, totalBytes: 15 },
    { type: 'prepare', done: 1, of: 1 },
  ]);
});

test('configs are read at the same time, and given up when one of them fails', async () => {
  const asked: string[] = [];
  const left: string[] = [];
  const failure = new NearsightError('load_failed', 'not there');
  const read: OpenEngineOptions['read'] = ({ path }, _onBytes, signal) => {
    asked.push(path);
    return new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => left.push(path));
      if (path === 'tokenizer.json') setTimeout(() => reject(failure));
    });
  };
  const { signal } = new AbortController();
  const opening = openEngine({ spec: glimpse, device: 'wasm', assets, read, emit: () => {}, signal });
  await expect(opening).rejects.toBe(failure);
  expect(asked).toEqual(glimpse.files.map(({ path }) => path));
  expect(left).toEqual(asked);
});

test.each([
  ['config.json', 'null'],
  ['tokenizer.json', '{"model":{"type":"BPE"},"decoder":{"type":"ByteLevel"},"added_tokens":[]}'],
  ['chat_template.json', '{"chat_template":"{% if %}"}'],
])('a broken %s is load_failed, not a defect', async (broken, text) => {
  const read: OpenEngineOptions['read'] = async (file) =>
    file.path === broken ? new TextEncoder().encode(text) : bytesOf(file);
  const { signal } = new AbortController();
  const opening = openEngine({ spec: glimpse, device: 'wasm', assets, read, emit: () => {}, signal });
  await expect(opening).rejects.toMatchObject({ code: 'load_failed' });
});
