import { describe, expect, test } from 'vitest';
import { decode, encode } from '../../../worker/onnx/model/graph.ts';
import { makeNode } from '../../../worker/onnx/model/graph-edit.ts';
import { Writer } from '../../../worker/onnx/model/protobuf.ts';
import { optimizeDecoder } from '../../../worker/onnx/optimize/optimize-decoder.ts';
import type { OptimizedGraph } from '../../../worker/onnx/optimize/pass.ts';
import { census, distance, evaluate, glimpse, Native, readAll, singleFile } from './optimize-graphs.ts';
import { type Quirks, toyDecoder } from './toy-graphs.ts';

/** A prompt in chunks, then tokens: all shapes of run that the decode loop has. */
const CHUNKS = [7, 5, 1, 1, 3, 1];

const positions = 64;

async function logits(model: Uint8Array | OptimizedGraph): Promise<Float32Array[]> {
  const decoder = await Native.open(model);
  const rows = await readAll(decoder, CHUNKS);
  await decoder.close();
  return rows;
}

/** The largest distance over all steps. */
async function drift(model: Uint8Array, optimized: OptimizedGraph): Promise<number> {
  const expected = await logits(model);
  const actual = await logits(optimized);
  return Math.max(...expected.map((row, i) => distance(row, actual[i] ?? [])));
}

/** `done` or the reason for skipping, for each pass. */
function reasons({ outcomes }: OptimizedGraph): Record<string, string> {
  return Object.fromEntries(outcomes.map(({ pass, reason = 'done' }) => [pass, reason]));
}

describe.each([
  ['decoder_model_merged_q4', 1e-5],
  ['decoder_model_merged_q4f16', 2e-3],
] as const)('exports of early 2025, like glimpse: %s', (name, tolerance) => {
  test('the same logits, from lengths instead of a mask and positions', async () => {
    const model = glimpse(name);
    const optimized = await optimizeDecoder(singleFile(model), { positions, evaluate });
    expect(reasons(optimized)).toMatchObject({
      'feed-lengths': 'done',
      'fold-rotary': 'done',
      'keep-last-row': 'done',
    });
    const { nodes, inputs } = decode(optimized);
    const names = inputs.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['seqlens_k', 'total_sequence_length']));
    expect(names).not.toContain('attention_mask');
    expect(names).not.toContain('position_ids');
    expect(census(nodes)).not.toHaveProperty('com.microsoft.RotaryEmbedding');
    expect(await drift(model, optimized)).toBeLessThan(tolerance);
  });
});

describe('4-bit weights, dequantized for wasm', () => {
  const model = glimpse('decoder_model_merged_q4');

  test('the same logits, from float32 matrices', async () => {
    const optimized = await optimizeDecoder(singleFile(model), {
      positions,
      evaluate,
      memoryBudget: { bytes: 64 << 20 },
    });
    expect(reasons(optimized)['dequantize-weights']).toBe('done');
    expect(census(decode(optimized).nodes)).not.toHaveProperty('com.microsoft.MatMulNBits');
    expect(await drift(model, optimized)).toBeLessThan(1e-5);
  });

  test('skipped over the memory budget, and in half precision', async () => {
    const tight = await optimizeDecoder(singleFile(model), { positions, evaluate, memoryBudget: { bytes: 1 << 20 } });
    expect(reasons(tight)['dequantize-weights']).toMatch(/bytes, over 1048576/);
    const half = glimpse('decoder_model_merged_q4f16');
    const optimized = await optimizeDecoder(singleFile(half), {
      positions,
      evaluate,
      memoryBudget: { bytes: 64 << 20 },
    });
    expect(reasons(optimized)['dequantize-weights']).toMatch(/no matrix has 4 bits/);
  });
});

describe('exports of late 2025', () => {
  test('the same logits, without the bias and num_logits_to_keep', async () => {
    const model = toyDecoder();
    const optimized = await optimizeDecoder(singleFile(model), { positions, evaluate });
    expect(reasons(optimized)).toEqual({
      'feed-lengths': 'done',
      'fold-rotary': 'attention rotates already',
      'keep-last-row': 'done',
      'trim-rotary-tables': 'done',
    });
    const graph = decode(optimized);
    const inputs = graph.inputs.map(({ name }) => name).filter((name) => !name.startsWith('past_'));
    expect(inputs).toEqual(['inputs_embeds', 'seqlens_k', 'total_sequence_length']);
    expect(graph.tensors.get('cos')?.dims).toEqual([positions, 8]);
    expect(census(graph.nodes)).not.toHaveProperty('Expand');
    expect(await drift(model, optimized)).toBeLessThan(1e-6);
  });

  test('optimizing an optimized graph changes nothing', async () => {
    const once = await optimizeDecoder(singleFile(toyDecoder({ rotary: 'input', allRows: true })), {
      positions,
      evaluate,
    });
    const whole = encode(decode(once));
    const twice = await optimizeDecoder(singleFile(whole), { positions, evaluate });
    expect(reasons(twice)).toMatchObject({
      'feed-lengths': 'lengths are inputs already',
      'fold-rotary': 'attention rotates already',
      'keep-last-row': 'only the last row has logits already',
    });
    expect(twice.graph).toBe(whole);
    expect(twice.externalData).toEqual([]);
  });
});

/** Graphs for which one pass would not be exact. */
const SKIPPED: readonly [Quirks, string, RegExp][] = [
  [{ sink: 0.5 }, 'feed-lengths', /more than a causal mask/],
  [{ window: positions - 1 }, 'feed-lengths', /more than a causal mask/],
  [{ offByOne: true, sink: 0 }, 'feed-lengths', /is not the last position/],
  [{ rotary: 'computed' }, 'fold-rotary', /positions are not position_ids itself/],
  [{ rotary: 'key-tables' }, 'fold-rotary', /tables of their own/],
  [{ rotary: 'input', sink: 1 }, 'fold-rotary', /lengths are not inputs/],
];

describe('a pass that would not be exact is skipped, and the others still run', () => {
  test.each(SKIPPED)('%o: %s', async (quirks, pass, reason) => {
    const model = toyDecoder({ ...quirks, allRows: true });
    const optimized = await optimizeDecoder(singleFile(model), { positions, evaluate });
    expect(reasons(optimized)[pass]).toMatch(reason);
    expect(reasons(optimized)['keep-last-row']).toBe('done');
    // ORT itself refuses to run a last position that is out of range.
    if (!quirks.offByOne) expect(await drift(model, optimized)).toBeLessThan(1e-6);
  });

  test('a graph with branches is returned unchanged', async () => {
    const graph = decode(singleFile(toyDecoder()));
    const branch = makeNode('If', ['flag'], ['either']);
    branch.attributes.set('then_branch', new Writer().text(1, 'then_branch').bytes(6, new Uint8Array()).finish());
    graph.nodes.push(branch);
    const model = encode(graph);
    const optimized = await optimizeDecoder(singleFile(model), { positions, evaluate });
    expect(optimized).toMatchObject({ graph: model, externalData: [] });
    expect(reasons(optimized)).toEqual({ 'feed-lengths': 'the graph has branches or loops' });
  });

  test('nodes out of order are sorted', async () => {
    const model = toyDecoder({ allRows: true });
    const graph = decode(singleFile(model));
    graph.nodes.reverse();
    const optimized = await optimizeDecoder(singleFile(encode(graph)), { positions, evaluate });
    expect(reasons(optimized)).toMatchObject({ 'feed-lengths': 'done', 'keep-last-row': 'done' });
    expect(await drift(model, optimized)).toBeLessThan(1e-6);
  });

  test('a graph with a cycle is returned unchanged', async () => {
    const graph = decode(singleFile(toyDecoder()));
    graph.nodes.push(makeNode('Add', ['there', 'cos'], ['here']), makeNode('Neg', ['here'], ['there']));
    const model = encode(graph);
    const optimized = await optimizeDecoder(singleFile(model), { positions, evaluate });
    expect(optimized.graph).toBe(model);
    expect(reasons(optimized)['feed-lengths']).toMatch(/reads what no earlier node gives/);
  });

  test('a graph that is not a decoder is returned unchanged', async () => {
    const model = glimpse('embed_tokens_q4');
    const optimized = await optimizeDecoder(singleFile(model), { positions, evaluate });
    expect(optimized.graph).toBe(model);
    expect(optimized.outcomes.every(({ reason }) => reason !== undefined)).toBe(true);
  });
});
