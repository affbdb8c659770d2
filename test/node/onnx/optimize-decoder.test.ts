import { describe, expect, test } from 'vitest';
import { decode, encode } from '../../../worker/onnx/model/graph.ts';
import { makeNode } from '../../../worker/onnx/model/graph-edit.ts';
import { Writer } from '../../../worker/onnx/model/protobuf.ts';
import { optimizeDecoder } from '../../../worker/onnx/optimize/optimize-decoder.ts';
import type { OptimizedGraph } from '../../../worker/onnx/optimize/pass.ts';
import { census, distance, evaluate, glimpse, Native, readAll } from './optimize-graphs.ts';
import { type Quirks, toyDecoder } from './toy-graphs.ts';

/** A prompt in chunks, then tokens: every shape of run that the decode loop makes. */
const CHUNKS = [7, 5, 1, 1, 3, 1];

const positions = 64;

async function logits(model: Uint8Array | OptimizedGraph): Promise<Float32Array[]> {
  const decoder = await Native.open(model);
  const rows = await readAll(decoder, CHUNKS);
  await decoder.close();
  return rows;
}

/** The largest distance over all steps. */
async function drift(model: Uint8Array, operated: OptimizedGraph): Promise<number> {
  const expected = await logits(model);
  const actual = await logits(operated);
  return Math.max(...expected.map((row, i) => distance(row, actual[i] ?? [])));
}

/** Rewrites that were made, and why others were not. */
function verdicts({ outcomes }: OptimizedGraph): Record<string, string> {
  return Object.fromEntries(outcomes.map(({ pass: rewrite, reason = 'done' }) => [rewrite, reason]));
}

describe.each([
  ['decoder_model_merged_q4', 1e-5],
  ['decoder_model_merged_q4f16', 2e-3],
] as const)('exports of early 2025, as glimpse: %s', (name, tolerance) => {
  test('the same logits, from lengths instead of a mask and positions', async () => {
    const model = glimpse(name);
    const operated = await optimizeDecoder(model, { positions, evaluate });
    expect(verdicts(operated)).toMatchObject({ lengths: 'done', rotary: 'done', 'last-row': 'done' });
    expect(operated.inputs).toEqual(expect.arrayContaining(['seqlens_k', 'total_sequence_length']));
    expect(operated.inputs).not.toContain('attention_mask');
    expect(operated.inputs).not.toContain('position_ids');
    expect(census(decode(operated.graph).nodes)).not.toHaveProperty('com.microsoft.RotaryEmbedding');
    expect(await drift(model, operated)).toBeLessThan(tolerance);
  });
});

describe('4-bit weights, widened for wasm', () => {
  const model = glimpse('decoder_model_merged_q4');

  test('the same logits, from ordinary matrices', async () => {
    const operated = await optimizeDecoder(model, { positions, evaluate, memoryBudget: { bytes: 64 << 20 } });
    expect(verdicts(operated)['widen']).toBe('done');
    expect(census(decode(operated.graph).nodes)).not.toHaveProperty('com.microsoft.MatMulNBits');
    expect(await drift(model, operated)).toBeLessThan(1e-5);
  });

  test('not beyond the budget, and not in half precision', async () => {
    const tight = await optimizeDecoder(model, { positions, evaluate, memoryBudget: { bytes: 1 << 20 } });
    expect(verdicts(tight)['widen']).toMatch(/bytes, over 1048576/);
    const half = glimpse('decoder_model_merged_q4f16');
    const operated = await optimizeDecoder(half, { positions, evaluate, memoryBudget: { bytes: 64 << 20 } });
    expect(verdicts(operated)['widen']).toMatch(/no matrix is packed/);
  });
});

describe('exports of late 2025', () => {
  test('the same logits, without the bias and num_logits_to_keep', async () => {
    const model = toyDecoder();
    const operated = await optimizeDecoder(model, { positions, evaluate });
    expect(verdicts(operated)).toEqual({
      lengths: 'done',
      rotary: 'attention rotates already',
      'last-row': 'done',
      'rotary-tables': 'done',
    });
    expect(operated.inputs.filter((input) => !input.startsWith('past_'))).toEqual([
      'inputs_embeds',
      'seqlens_k',
      'total_sequence_length',
    ]);
    const graph = decode(operated.graph);
    expect(graph.tensors.get('cos')?.dims).toEqual([positions, 8]);
    expect(census(graph.nodes)).not.toHaveProperty('Expand');
    expect(await drift(model, operated)).toBeLessThan(1e-6);
  });

  test('a second operation finds nothing to do', async () => {
    const once = await optimizeDecoder(toyDecoder({ rotary: 'input', allRows: true }), { positions, evaluate });
    const whole = encode(decode(once.graph));
    const twice = await optimizeDecoder(whole, { positions, evaluate });
    expect(verdicts(twice)).toMatchObject({
      lengths: 'lengths are inputs already',
      rotary: 'attention rotates already',
      'last-row': 'only the last row has logits already',
    });
    expect(twice.graph).toBe(whole);
    expect(twice.externalData).toEqual([]);
  });
});

/** What keeps a rewrite from being exact is found, and all else is still done, and still equal. */
const REFUSED: readonly [Quirks, string, RegExp][] = [
  [{ sink: 0.5 }, 'lengths', /more than a causal mask/],
  [{ offByOne: true, sink: 0 }, 'lengths', /is not the last position/],
  [{ rotary: 'computed' }, 'rotary', /positions are not position_ids itself/],
  [{ rotary: 'key-tables' }, 'rotary', /tables of their own/],
  [{ rotary: 'input', sink: 1 }, 'rotary', /lengths are not inputs/],
];

describe('what is not exact is not done', () => {
  test.each(REFUSED)('%o: %s', async (quirks, rewrite, reason) => {
    const model = toyDecoder({ ...quirks, allRows: true });
    const operated = await optimizeDecoder(model, { positions, evaluate });
    expect(verdicts(operated)[rewrite]).toMatch(reason);
    expect(verdicts(operated)['last-row']).toBe('done');
    // ORT itself refuses to run a last position that is out of range.
    if (!quirks.offByOne) expect(await drift(model, operated)).toBeLessThan(1e-6);
  });

  test('a graph with branches comes back as it was', async () => {
    const graph = decode(toyDecoder());
    const branch = makeNode('If', ['flag'], ['either']);
    branch.attributes.set('then_branch', new Writer().text(1, 'then_branch').bytes(6, new Uint8Array()).finish());
    graph.nodes.push(branch);
    const model = encode(graph);
    const operated = await optimizeDecoder(model, { positions, evaluate });
    expect(operated).toMatchObject({ graph: model, externalData: [] });
    expect(verdicts(operated)).toEqual({ lengths: 'the graph has branches or loops' });
  });

  test('nodes out of order are put in order', async () => {
    const model = toyDecoder({ allRows: true });
    const graph = decode(model);
    graph.nodes.reverse();
    const operated = await optimizeDecoder(encode(graph), { positions, evaluate });
    expect(verdicts(operated)).toMatchObject({ lengths: 'done', 'last-row': 'done' });
    expect(await drift(model, operated)).toBeLessThan(1e-6);
  });

  test('a graph that goes in circles comes back as it was', async () => {
    const graph = decode(toyDecoder());
    graph.nodes.push(makeNode('Add', ['there', 'cos'], ['here']), makeNode('Neg', ['here'], ['there']));
    const model = encode(graph);
    const operated = await optimizeDecoder(model, { positions, evaluate });
    expect(operated.graph).toBe(model);
    expect(verdicts(operated)['lengths']).toMatch(/reads what no earlier node gives/);
  });

  test('a graph that is no decoder comes back as it was', async () => {
    const model = glimpse('embed_tokens_q4');
    const operated = await optimizeDecoder(model, { positions, evaluate });
    expect(operated.graph).toBe(model);
    expect(operated.outcomes.every(({ reason }) => reason !== undefined)).toBe(true);
  });
});
