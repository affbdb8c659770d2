import { LOGITS, LOGITS_TO_KEEP } from '../decoder-ports.ts';
import { type Graph, INT64, type Node, makeInts, makeValue } from '../model/graph.ts';
import { intAttribute, makeNode, prune, Wiring } from '../model/graph-edit.ts';
import { MATMUL_NBITS } from './quantized-matrix.ts';
import type { Skipped } from './pass.ts';

const HEADS: readonly string[] = ['MatMul', MATMUL_NBITS, 'com.microsoft.MatMulBnb4'];

/** Operators on logits that work on each row alone: a cast, Gemma's soft cap. */
const ROW_WISE: readonly string[] = ['Cast', 'Mul', 'Div', 'Add', 'Tanh', 'Identity'];

/**
 * Passes only the last row to the language-model head, because generation reads no other logits.
 *
 * The head is the largest matrix of a small model (SmolVLM's has 28 of 135 million weights), and the logits of 1,100
 * rows would take 217 MB. Exact: the head works on each row alone.
 */
export function keepLastRow(graph: Graph): Skipped {
  if (graph.inputs.some(({ name, type }) => name === LOGITS_TO_KEEP && type === INT64)) {
    graph.tensors.set(LOGITS_TO_KEEP, makeInts(LOGITS_TO_KEEP, [], [1]));
    graph.inputs = graph.inputs.filter(({ name }) => name !== LOGITS_TO_KEEP);
    return finish(graph);
  }
  const wiring = new Wiring(graph);
  const head = findHead(wiring);
  const [rows = ''] = head?.inputs ?? [];
  if (!head || rows === '') return 'logits do not come from a matrix of weights';
  if (picksLast(wiring, rows)) return 'only the last row has logits already';
  const last = `${rows}/last`;
  const picked = `${rows}/last_row`;
  graph.tensors.set(last, makeInts(last, [1], [-1]));
  // On axis 1 of [batch, rows, hidden].
  const gather = makeNode('Gather', [rows, last], [picked], { axis: 1 });
  graph.nodes.splice(graph.nodes.indexOf(head), 0, gather);
  head.inputs[0] = picked;
  return finish(graph);
}

function finish(graph: Graph): undefined {
  prune(graph);
  // ORT does not always infer this shape, and callers read it from the session's metadata.
  graph.outputs = graph.outputs.map((output) => {
    const { name, type, dims } = output;
    return name === LOGITS && dims.length === 3 ? makeValue(name, type, dims.with(1, 1)) : output;
  });
  return undefined;
}

/** The matrix product that computes the logits. */
function findHead(wiring: Wiring): Node | undefined {
  let at = wiring.producer(LOGITS);
  while (at && ROW_WISE.includes(at.type)) {
    const [first, second] = at.inputs;
    // One of two operands must be the same for all rows.
    if (second !== undefined && !isUniform(wiring, second)) {
      if (!isUniform(wiring, first)) return undefined;
      at = wiring.producer(second);
    } else at = wiring.producer(first);
  }
  return at && HEADS.includes(at.type) && isWeight(wiring, at.inputs[1]) ? at : undefined;
}

function isUniform(wiring: Wiring, name: string | undefined): boolean {
  const tensor = wiring.tensor(name);
  return tensor !== undefined && tensor.dims.length <= 1;
}

function isWeight(wiring: Wiring, name: string | undefined): boolean {
  // A head that shares the embedding's weights may transpose them.
  const transposed = wiring.producer(name, 'Transpose', 'Cast');
  return wiring.tensor(transposed ? transposed.inputs[0] : name) !== undefined;
}

function picksLast(wiring: Wiring, name: string): boolean {
  const gather = wiring.producer(name, 'Gather');
  return gather !== undefined && intAttribute(gather, 'axis', 0) === 1 && wiring.scalar(gather.inputs[1]) === -1;
}
