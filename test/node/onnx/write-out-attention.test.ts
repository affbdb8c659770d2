import { expect, test } from 'vitest';
import { decode, encode, type Graph } from '../../../worker/onnx/model/graph.ts';
import { setFloat, setInt } from '../../../worker/onnx/model/graph-edit.ts';
import { optimizeDecoder } from '../../../worker/onnx/optimize/optimize-decoder.ts';
import { evaluate, singleFile } from './optimize-graphs.ts';
import { toyDecoder } from './toy-graphs.ts';

// What makes the pass leave a graph as it is. That its results are right is tested on the in-place decoder.

const ATTENTION = 'com.microsoft.GroupQueryAttention';

async function reasonFor(change: (graph: Graph) => void, quirks = {}): Promise<string> {
  const graph = decode(singleFile(toyDecoder(quirks)));
  change(graph);
  const model = singleFile(encode(graph));
  const optimized = await optimizeDecoder(model, { positions: 64, evaluate, inPlace: true });
  const inputs = decode(optimized).inputs.map(({ name }) => name);
  const { reason } = optimized.outcomes.find(({ pass }) => pass === 'write-out-attention') ?? { reason: 'not tried' };
  expect(inputs.includes('is_prompt')).toBe(reason === undefined);
  return reason ?? 'done';
}

const attention = (change: (node: Graph['nodes'][number]) => void) => (graph: Graph) => {
  for (const node of graph.nodes) if (node.type === ATTENTION) change(node);
};

test.each([
  ['nothing is changed', () => {}, {}, 'done'],
  // As int8 exports are: the decoder that could use the branches cannot run them.
  [
    'the head is of a kind that is not recognised',
    (graph: Graph) => {
      for (const node of graph.nodes) if (node.outputs[0] === 'scores') node.type = 'Gemm';
    },
    { allRows: true },
    'logits are not one row of float32',
  ],
  ['attention has a window', attention((node) => setInt(node, 'local_window_size', 16)), {}, 'it has a window'],
  ['scores are capped', attention((node) => setFloat(node, 'softcap', 30)), {}, 'its softmax is not a plain one'],
  [
    'layers differ',
    (graph: Graph) => {
      const node = graph.nodes.findLast(({ type }) => type === ATTENTION);
      if (node) setInt(node, 'num_heads', 4);
    },
    {},
    'layers have different heads',
  ],
])('%s', async (_, change, quirks, expected) => {
  expect(await reasonFor(change, quirks)).toContain(expected);
});
