import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { decode, encode, FLOAT, type Graph, makeInts, makeTensor } from '../../../worker/onnx/model/graph.ts';
import { intAttribute, makeNode, setInt } from '../../../worker/onnx/model/graph-edit.ts';
import { optimizeDecoder } from '../../../worker/onnx/optimize/optimize-decoder.ts';
import type { OptimizedGraph } from '../../../worker/onnx/optimize/pass.ts';
import { tinyAvailable, tinyFile, tinyMissing } from '../../fixtures/tiny-folders.ts';
import { census, distance, evaluate, Native, readAll, singleFile } from './optimize-graphs.ts';
import { multiHeadDecoder } from './multi-head-graph.ts';

const MULTI_HEAD = 'com.microsoft.MultiHeadAttention';
const positions = 64;

async function logits(model: Uint8Array | OptimizedGraph, chunks: readonly number[]): Promise<Float32Array[]> {
  const decoder = await Native.open(model);
  try {
    return await readAll(decoder, chunks);
  } finally {
    await decoder.close();
  }
}

function outcome({ outcomes }: OptimizedGraph): string {
  const found = outcomes.find(({ pass }) => pass === 'group-queries');
  return found ? (found.reason ?? 'done') : 'not tried';
}

const optimize = (model: Uint8Array): Promise<OptimizedGraph> =>
  optimizeDecoder(singleFile(model), { positions, evaluate });

describe('attention over repeated keys and values', () => {
  test.each(['float32', 'float16'] as const)(
    'reads groups of queries instead, with the same logits: %s',
    async (type) => {
      const model = multiHeadDecoder(type);
      const optimized = await optimize(model);
      expect(outcome(optimized)).toBe('done');
      expect(optimized.returnsNewCache).toBe(false);
      const { nodes, inputs } = decode(optimized);
      expect(census(nodes)).not.toHaveProperty(MULTI_HEAD);
      const [attention] = nodes.filter((node) => node.type === 'com.microsoft.GroupQueryAttention');
      expect(intAttribute(attention!, 'num_heads', 0)).toBe(4);
      expect(intAttribute(attention!, 'kv_num_heads', 0)).toBe(2);
      expect(inputs.map(({ name }) => name)).not.toContain('attention_mask');
      const chunks = [7, 1, 1, 1];
      const [expected, actual] = [await logits(model, chunks), await logits(optimized, chunks)];
      for (const [at, row] of expected.entries()) {
        expect(distance(row, actual[at] ?? [])).toBeLessThan(type === 'float32' ? 1e-6 : 2e-3);
      }
      // The original cannot read several rows after others.
      await expect(logits(model, [7, 3])).rejects.toThrow(/expand|broadcast/i);
      const [whole, parts] = [await logits(optimized, [10]), await logits(optimized, [7, 3])];
      expect(distance(whole[0]!, parts[1]!)).toBeLessThan(type === 'float32' ? 1e-6 : 2e-3);
    },
  );

  /** Graphs for which the pass would not be exact. */
  const CHANGES: [string, (graph: Graph) => void, RegExp][] = [
    ['a bias that is more than a mask', (graph) => change(graph, 'past_bias', 0.5), /is not a causal mask/],
    ['a mask that hides nothing', (graph) => change(graph, 'hidden', 0), /is not a causal mask/],
    [
      'no bias',
      (graph) => {
        for (const node of attentions(graph)) node.inputs[5] = '';
      },
      /it has no bias/,
    ],
    [
      'a mask of padding',
      (graph) => {
        for (const node of attentions(graph)) node.inputs[4] = 'attention_mask';
      },
      /further inputs/,
    ],
    [
      'heads that are not groups',
      (graph) => attentions(graph).forEach((node) => setInt(node, 'num_heads', 3)),
      /3 heads/,
    ],
    [
      'keys that are repeated as a whole, not head by head',
      (graph) => {
        const expanded = graph.nodes.find(({ outputs }) => outputs[0] === 'key.0/expanded');
        const unsqueeze = graph.nodes.find(({ outputs }) => outputs[0] === 'key.0/unsqueezed');
        // [1, 2 copies, heads, …] instead of [1, heads, 2 copies, …].
        unsqueeze!.inputs[1] = 'axis1';
        expanded!.inputs[1] = 'repeated.whole';
        graph.tensors.set('axis1', makeInts('axis1', [1], [1]));
        graph.tensors.set('repeated.whole', makeInts('repeated.whole', [5], [1, 2, 1, 1, 1]));
      },
      /each head repeated/,
    ],
    [
      'new keys before those of the past',
      (graph) => {
        const concat = graph.nodes.find(({ outputs }) => outputs[0] === 'present.0.key');
        concat!.inputs.reverse();
      },
      /do not come from a cache/,
    ],
    [
      'scaled keys',
      (graph) => {
        const transpose = graph.nodes.find(({ outputs }) => outputs[0] === 'key.1/heads');
        const scaled = makeNode('Neg', ['key.1/heads'], ['key.1/negative']);
        const concat = graph.nodes.find(({ outputs }) => outputs[0] === 'present.1.key');
        concat!.inputs[1] = 'key.1/negative';
        graph.nodes.splice(graph.nodes.indexOf(transpose!) + 1, 0, scaled);
      },
      /not split into heads/,
    ],
    [
      'keys that something else reads',
      (graph) => {
        graph.nodes.push(makeNode('Shape', ['present.0.key'], ['present.shape']));
        graph.nodes.push(makeNode('Gather', ['present.shape', 'scalar1'], ['present.heads']));
        graph.outputs.push({ ...graph.outputs[0]!, name: 'present.heads' });
        graph.tensors.set('scalar1', makeInts('scalar1', [], [1]));
      },
      /^done$/,
    ],
  ];

  test.each(CHANGES)('%s', async (_, alter, reason) => {
    const graph = decode(singleFile(multiHeadDecoder('float32')));
    alter(graph);
    const model = encode(graph);
    const optimized = await optimize(model);
    expect(outcome(optimized)).toMatch(reason);
    // Which is what the status says.
    expect(optimized.uncapturable ?? 'done').toMatch(reason);
    const other = census(decode(optimized).nodes)[MULTI_HEAD] ?? 0;
    expect(other).toBe(reason.test('done') ? 0 : 2);
  });
});

/** Sets a number that the toy graph computes its bias with. */
function change(graph: Graph, name: string, value: number): void {
  const tensor = graph.tensors.get(name);
  if (!tensor) throw new Error(`no ${name}`);
  graph.tensors.set(name, makeTensor(name, FLOAT, tensor.dims, new Uint8Array(Float32Array.of(value).buffer)));
}

function attentions(graph: Graph) {
  return graph.nodes.filter(({ type }) => type === MULTI_HEAD);
}

test.skipIf(tinyAvailable)(tinyMissing, () => {});

describe.skipIf(!tinyAvailable).each(['', '_q4'])('a tiny SmolVLM2, decoder_model_merged%s', (suffix) => {
  const read = (folder: string): Uint8Array =>
    readFileSync(tinyFile(folder, `onnx/decoder_model_merged${suffix}.onnx`));

  test('has the logits of its twin that was exported with GroupQueryAttention, several rows behind others too', async () => {
    const optimized = await optimize(read('smolvlm2-tiny'));
    expect(optimized.outcomes.filter(({ reason }) => reason !== undefined).map(({ pass }) => pass)).toEqual([]);
    expect(optimized.uncapturable).toBeUndefined();
    expect(optimized.layer).toBeDefined();
    const twin = await optimize(read('smolvlm2-tiny-gqa'));
    const operators = (model: OptimizedGraph) => census(decode(model).nodes);
    expect(operators(optimized)).toEqual(operators(twin));
    const chunks = [7, 5, 1, 1, 3, 1];
    expect(await logits(optimized, chunks)).toEqual(await logits(twin, chunks));
    const before = await logits(read('smolvlm2-tiny'), [7, 1, 1]);
    const after = await logits(optimized, [7, 1, 1]);
    for (const [at, row] of before.entries()) expect(distance(row, after[at] ?? [])).toBeLessThan(2e-6);
  });
});
