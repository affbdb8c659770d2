import { afterEach, describe, expect, test, vi } from 'vitest';
import { glimpse } from '../../../models/glimpse.ts';
import { NearsightError } from '../../../src/protocol/errors.ts';
import type { LoadPart } from '../../../src/protocol/calls.ts';
import type { OpenRequest } from '../../../worker/engines/engine.ts';
import type { ModelFile, ModelGraph, ModelSpec } from '../../../src/protocol/model-spec.ts';
import { onnxEngine } from '../../../worker/engines/onnx/onnx-engine.ts';
import { LoadProgress } from '../../../worker/engines/common/progress.ts';
import { DownloadedFiles } from '../../../worker/storage/downloaded-files.ts';
import type { ModelFiles } from '../../../worker/storage/store.ts';
import { assets } from './dawn-engine.ts';
import { fakeAdapter } from '../webgpu/fake-gpu.ts';
import { bytesOf, filesWith } from './disk-store.ts';

type Download = Extract<LoadPart, { state: 'downloading' }>;

/** As bundlers inline small files. */
const inline = (file: ModelFile): ModelFile => ({
  ...file,
  url: `data:application/octet-stream;base64,${bytesOf(file).toString('base64')}`,
});

const inlineGraph = ({ file, data }: ModelGraph): ModelGraph => ({ file: inline(file), data });

function request(changes: Partial<OpenRequest> = {}): OpenRequest {
  return { spec: glimpse, device: 'wasm', assets, ...changes };
}

/** Opens and closes a model. Returns the reported downloads, after checking what every load has in common. */
async function downloads(
  changes: Partial<OpenRequest>,
  files: ModelFiles = new DownloadedFiles('a test'),
): Promise<Download[]> {
  const parts: LoadPart[] = [];
  const { signal } = new AbortController();
  const emit = (part: LoadPart): void => void parts.push(part);
  const engine = await onnxEngine.open(request(changes), { files, emit, signal });
  await engine.close();
  const told = parts.filter((part) => part.state === 'downloading');
  expect(told.filter(({ loadedBytes, totalBytes }) => loadedBytes >= totalBytes)).toEqual([told.at(-1)]);
  expect(told.at(-1)!.loadedBytes).toBe(told.at(-1)!.totalBytes);
  for (const [at, { loadedBytes }] of told.entries()) {
    expect(loadedBytes).toBeGreaterThan(told[at - 1]?.loadedBytes ?? 0);
  }
  expect(parts.at(-1)).toEqual({ state: 'preparing', done: 4, of: 4 });
  return told;
}

afterEach(() => {
  vi.unstubAllGlobals();
});

describe('progress reaches 100 % once, at the end,', () => {
  const [variant] = glimpse.variants;
  const { vision, embed, decoder } = variant!.graphs;
  const total = [...glimpse.files, vision.file, embed.file, decoder.file].reduce((sum, { bytes }) => sum + bytes, 0);

  test('where a bundler inlined all files', async () => {
    const graphs = { vision: inlineGraph(vision), embed: inlineGraph(embed), decoder: inlineGraph(decoder) };
    const inlined = { ...variant!, graphs };
    const spec: ModelSpec = { ...glimpse, files: glimpse.files.map(inline), variants: [inlined] };
    const told = await downloads({ spec });
    expect(told.at(-1)).toMatchObject({ totalBytes: total });
  });

  test.each([
    ['some', 0.5],
    ['all', 1],
  ])('after a variant failed when %s bytes of its first file were read', async (_, share) => {
    vi.stubGlobal('navigator', { gpu: { requestAdapter: async () => fakeAdapter().adapter }, hardwareConcurrency: 1 });
    let failed = false;
    const files = filesWith(async (file, onBytes) => {
      const fails = file.path === vision.file.path && !failed;
      onBytes(Math.floor(file.bytes * (fails ? share : 1)));
      if (!fails) return bytesOf(file);
      failed = true;
      throw new NearsightError('unsupported_device', 'it computes wrong values');
    });
    const told = await downloads({ device: 'auto', spec: { ...glimpse, variants: [variant!] } }, files);
    expect(told.at(-1)).toMatchObject({ totalBytes: total + Math.floor(vision.file.bytes * share) });
  });
});

test('bytes are reported at most ten times a second, with their rate and the time that is left', () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  const parts: LoadPart[] = [];
  const progress = new LoadProgress((part) => parts.push(part));
  progress.plan(10_000, 1);
  // A byte each millisecond for two seconds.
  for (let time = 0; time < 2000; time++) {
    progress.add(1);
    vi.advanceTimersByTime(1);
  }
  vi.useRealTimers();
  expect(parts).toHaveLength(20);
  expect(parts[0]).toMatchObject({ loadedBytes: 1, bytesPerSecond: undefined, secondsLeft: undefined });
  expect(parts.at(-1)).toMatchObject({ loadedBytes: 1901, bytesPerSecond: 1000, secondsLeft: 8.099 });
});

test('a variant that fails after all of its bytes have arrived does not report 100 %', () => {
  const parts: LoadPart[] = [];
  const progress = new LoadProgress((part) => parts.push(part));
  vi.useFakeTimers({ toFake: ['performance'] });
  const add = (bytes: number): void => {
    progress.add(bytes);
    vi.advanceTimersByTime(200);
  };
  progress.plan(10, 1);
  add(4);
  add(6);
  progress.plan(5, 1);
  add(3);
  add(2);
  progress.end();
  vi.useRealTimers();
  expect(parts).toMatchObject([
    { state: 'downloading', loadedBytes: 4, totalBytes: 10 },
    { state: 'downloading', loadedBytes: 13, totalBytes: 15 },
    { state: 'downloading', loadedBytes: 15, totalBytes: 15 },
    { state: 'preparing', done: 1, of: 1 },
  ]);
});

test('configs are read at the same time, and all reads are aborted when one of them fails', async () => {
  const opened: string[] = [];
  const aborted: string[] = [];
  const failure = new NearsightError('load_failed', 'not there');
  const open: ModelFiles['read'] = ({ path }, _onBytes, signal) => {
    opened.push(path);
    return new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => aborted.push(path));
      if (path === 'tokenizer.json') setTimeout(() => reject(failure));
    });
  };
  const { signal } = new AbortController();
  const opening = onnxEngine.open(request(), { files: filesWith(open), emit: () => {}, signal });
  // For a model of the package, the error says how to provide its files.
  const message = expect.stringContaining('npx nearsight assets');
  await expect(opening).rejects.toMatchObject({ code: 'load_failed', message, cause: failure });
  expect(opened).toEqual(glimpse.files.map(({ path }) => path));
  expect(aborted).toEqual(opened);
});

test.each([
  ['config.json', 'null'],
  ['tokenizer.json', '{"model":{"type":"BPE"},"decoder":{"type":"ByteLevel"},"added_tokens":[]}'],
  ['chat_template.json', '{"chat_template":"{% if %}"}'],
])('a broken %s is load_failed, not a defect', async (broken, text) => {
  const open: ModelFiles['read'] = async (file) =>
    file.path === broken ? new TextEncoder().encode(text) : bytesOf(file);
  const { signal } = new AbortController();
  const opening = onnxEngine.open(request(), { files: filesWith(open), emit: () => {}, signal });
  await expect(opening).rejects.toMatchObject({ code: 'load_failed' });
});
