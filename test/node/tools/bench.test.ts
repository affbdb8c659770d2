// The benchmark's table, its charts, and the files that it makes for a peer.
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Outcome } from '../../../bench/browser.mjs';
import { chart } from '../../../bench/chart.mjs';
import { writeGguf } from '../../../bench/gguf/write-gguf.mjs';
import { markdown, median, rowsOf } from '../../../bench/rows.mjs';

const facts = { build: 'asyncify', threads: 1, device: 'webgpu', dtype: 'q4', hardware: 'a GPU' } as const;

function outcome(
  ours: Record<string, number[]>,
  theirs: Record<string, number[]>,
  where = 'firefox, webgpu',
  model = 'glimpse',
): Outcome {
  const samples = { ours, 'transformers.js': theirs };
  return {
    where,
    version: 'x',
    model,
    load: [0, 0, 0],
    facts: { ours: facts, 'transformers.js': facts },
    failed: {},
    samples,
    lengths: {},
  };
}

const verdicts = (...args: Parameters<typeof outcome>) =>
  Object.fromEntries(rowsOf(outcome(...args)).map(({ measure, verdict }) => [measure.split(',')[0], verdict]));

test('medians', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(median([])).toBeUndefined();
});

test('a bar is met or missed by the measured values, and measures without samples have no row', () => {
  const theirs = { waits: [4], 'decode 100': [100, 100, 100], five: [500] };
  const good = verdicts({ waits: [0], maps: [0.125], readBytes: [32], 'decode 100': [20], five: [200] }, theirs);
  expect(good).toEqual({
    'waits for the GPU': 'met',
    '`mapAsync`': 'met',
    'bytes read back': 'met',
    decode: 'met',
    'five tokens': 'met',
  });
  const bad = verdicts({ waits: [0.25], maps: [1.5], readBytes: [65], 'decode 100': [26], five: [300] }, theirs);
  expect(new Set(Object.values(bad))).toEqual(new Set(['missed']));
});

test('if a step takes less than 6 ms, at most one `mapAsync` in eight tokens is allowed', () => {
  expect(verdicts({ maps: [0.5], 'decode 100': [5] }, {})['`mapAsync`']).toBe('missed');
  expect(verdicts({ maps: [0.5], 'decode 100': [7] }, {})['`mapAsync`']).toBe('met');
});

test('we are compared with the best of the other sides; in Chromium the bar is not to be slower', () => {
  const table = markdown(outcome({ 'decode 100': [90] }, { 'decode 100': [99] }, 'chromium, webgpu'));
  expect(table).toContain('| decode, ms a token, 100 tokens of context | 90 | 99 | 1.1x | never slower | met |');
});

test('sampling is compared with greedy decoding for SmolVLM only, because the bar is for its vocabulary', () => {
  const sampling = (model: string) =>
    verdicts({ 'decode 100': [10], sampled: [12] }, {}, 'firefox, wasm', model)['decode with sampling'];
  expect(sampling('glimpse')).toBe('');
  expect(sampling('SmolVLM-256M (random weights)')).toBe('missed');
});

test('a side that could not be opened is listed under the table', () => {
  const failed = { 'with our threads': 'it did not open' };
  const table = markdown({ ...outcome({ five: [1] }, { five: [2] }), failed });
  expect(table.split('\n').at(-1)).toBe('with our threads is left out: it did not open');
});

test('where our own side runs without captured steps as well, it is told apart from the peers', () => {
  const samples = { ours: { host: [2], 'decode 100': [50] }, uncaptured: { host: [4] }, classic: { host: [14] } };
  const table = markdown({ ...outcome({}, {}, 'Dawn, webgpu', 'SmolVLM'), facts: { ours: facts }, samples });
  expect(table).toMatch(/\| host work, ms a token \| 2 \| 7x, 2x uncaptured; .* 96 % \| 6x faster \| met \|/);
});

test('a GGUF file has its metadata, and each tensor where it says', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'gguf-')), 'x.gguf');
  writeGguf(
    path,
    [
      ['general.architecture', 'string', 'llama'],
      ['tokens', 'string', ['a', 'bc']],
      ['eps', 'f32', [0.5]],
    ],
    [
      { name: 'norm', shape: [3], type: 'f32', value: 1 },
      { name: 'matrix', shape: [64, 2], type: 'q8_0' },
    ],
  );
  const bytes = readFileSync(path);
  let at = 4;
  const u32 = (): number => bytes.readUInt32LE((at += 4) - 4);
  const u64 = (): number => Number(bytes.readBigUInt64LE((at += 8) - 8));
  const text = (): string => {
    const length = u64();
    return bytes.toString('utf8', at, (at += length));
  };
  expect([bytes.toString('latin1', 0, 4), u32(), u64(), u64()]).toEqual(['GGUF', 3, 2, 3]);
  expect([text(), u32(), text()]).toEqual(['general.architecture', 8, 'llama']);
  expect([text(), u32(), u32(), u64(), text(), text()]).toEqual(['tokens', 9, 8, 2, 'a', 'bc']);
  expect([text(), u32(), u32(), u64(), bytes.readFloatLE((at += 4) - 4)]).toEqual(['eps', 9, 6, 1, 0.5]);
  expect([text(), u32(), u64(), u32(), u64()]).toEqual(['norm', 1, 3, 0, 0]);
  expect([text(), u32(), u64(), u64(), u32(), u64()]).toEqual(['matrix', 2, 64, 2, 8, 32]);
  const data = Math.ceil(at / 32) * 32;
  expect([0, 4, 8].map((offset) => bytes.readFloatLE(data + offset))).toEqual([1, 1, 1]);
  // Four blocks of 34 bytes.
  expect(bytes.length).toBe(data + 32 + Math.ceil((4 * 34) / 32) * 32);
  // Half precision.
  const scale = bytes.readUInt16LE(data + 32);
  expect(2 ** ((scale >> 10) - 15) * (1 + (scale & 1023) / 1024)).toBeCloseTo(0.02 / 73.9, 6);
});

test('a chart has a line for each place in each plot that has points', () => {
  const line = (name: string, ...ys: number[]) => ({ name, points: ys.map((y, x) => ({ x: x * 10, y })) });
  const svg = chart('a model', [
    { label: 's', axis: 'tokens', lines: [line('one', 0, 5, 10), line('two', 10, 10, 10)] },
    { label: 'ms', axis: 'turns', lines: [line('two')] },
  ]);
  // From the origin to the right top corner, and along the top.
  expect(svg).toContain('d="M48.0 164.0L176.0 98.0L304.0 32.0"');
  expect(svg).toContain('d="M48.0 32.0L176.0 32.0L304.0 32.0"');
  expect(svg).not.toContain('turns');
});
