import { LOGITS, LOGITS_TO_KEEP } from '../decoder-ports.ts';
import { type Graph, INT64, type Node, type Tensor, makeTensor, makeValue } from '../model/graph.ts';
import { intAttribute, makeNode, prune, setInt, Wiring } from '../model/graph-edit.ts';
import { done, type PassOutcome, skipped } from './pass.ts';

const HEADS: readonly string[] = ['MatMul', 'com.microsoft.MatMulNBits', 'com.microsoft.MatMulBnb4'];

/** Operators on logits that treat every row alike: a cast, Gemma's soft cap. */
const ROW_WISE: readonly string[] = ['Cast', 'Mul', 'Div', 'Add', 'Tanh', 'Identity'];

/**
 * Lets only the last row into the language-model head.
 *
 * Generation reads no other. The head is the largest matrix of a small model (SmolVLM's has 28 of 135 million
 * weights), and the logits of 1,100 rows would take 217 MB. Exact: the head treats rows one by one.
 */
export function keepLastRow(graph: Graph): PassOutcome {
  if (graph.inputs.some(({ name, type }) => name === LOGITS_TO_KEEP && type === INT64)) {
    graph.tensors.set(LOGITS_TO_KEEP, int64(LOGITS_TO_KEEP, [], 1));
    graph.inputs = graph.inputs.filter(({ name }) => name !== LOGITS_TO_KEEP);
    return close(graph);
  }
  const wiring = new Wiring(graph);
  const head = findHead(wiring);
  const [rows = ''] = head?.inputs ?? [];
  if (!head || rows === '') return skipped('last-row', 'logits do not come from a matrix of weights');
  if (picksLast(wiring, rows)) return skipped('last-row', 'only the last row has logits already');
  const last = `${rows}/last`;
  const picked = `${rows}/last_row`;
  graph.tensors.set(last, int64(last, [1], -1));
  // On axis 1 of [batch, rows, hidden].
  const gather = makeNode('Gather', [rows, last], [picked]);
  setInt(gather, 'axis', 1);
  graph.nodes.splice(graph.nodes.indexOf(head), 0, gather);
  head.inputs[0] = picked;
  return close(graph);
}

function close(graph: Graph): PassOutcome {
  prune(graph);
  // What follows from constants ORT does not always say, and whoever opens the graph wants to know.
  graph.outputs = graph.outputs.map((output) => {
    const { name, type, dims } = output;
    return name === LOGITS && dims.length === 3 ? makeValue(name, type, dims.with(1, 1)) : output;
  });
  return done('last-row');
}

/** The matrix product that the logits come from. */
function findHead(wiring: Wiring): Node | undefined {
  let at = wiring.producer(LOGITS);
  while (at && ROW_WISE.includes(at.type)) {
    const [first, second] = at.inputs;
    // Of two operands one must be the same for all rows.
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
  // A head that shares the embedding's weights may have them turned over.
  const turned = wiring.producer(name, 'Transpose', 'Cast');
  return wiring.tensor(turned ? turned.inputs[0] : name) !== undefined;
}

function picksLast(wiring: Wiring, name: string): boolean {
  const gather = wiring.producer(name, 'Gather');
  return gather !== undefined && intAttribute(gather, 'axis', 0) === 1 && wiring.scalar(gather.inputs[1]) === -1;
}

function int64(name: string, dims: readonly number[], element: number): Tensor {
  return makeTensor(name, INT64, dims, new Uint8Array(BigInt64Array.of(BigInt(element)).buffer));
}
