import { SEQLENS_K, TOTAL_LENGTH } from '../decoder-ports.ts';
import { type Graph, INT32, type Node, makeValue } from '../model/graph.ts';
import { prune } from '../model/graph-edit.ts';
import type { Evaluate, TensorData } from './evaluate-model.ts';
import type { Skipped } from './pass.ts';
import { biasSteps, equals, feedStep, type Step, STEPS } from './evaluate-lengths.ts';
import { type Evaluation, evaluateSubgraph } from './evaluate-subgraph.ts';

export const ATTENTION = 'com.microsoft.GroupQueryAttention';
export const MULTI_HEAD = 'com.microsoft.MultiHeadAttention';

/** Indices of GroupQueryAttention's inputs. */
export const AT = { query: 0, key: 1, seqlensK: 5, totalLength: 6, cos: 7, sin: 8, bias: 10 } as const;

/**
 * Makes the two lengths that attention reads inputs of the graph, instead of values computed from `attention_mask`.
 *
 * A step then needs no mask that grows with the context, no operators that only run on the CPU, and no bias of
 * [rows, positions] (newer exports have one). This is exact for one sequence without padding: the pass checks at several
 * steps that the graph computes these lengths, and that the bias is zero at each row's own position and before it.
 * Causal attention never reads the positions after it.
 *
 * @param positions the largest number that a sequence will have
 */
export async function feedLengths(graph: Graph, positions: number, evaluate: Evaluate): Promise<Skipped> {
  const nodes = graph.nodes.filter(({ type }) => type === ATTENTION);
  const namesAt = (at: number): string[] => [...new Set(nodes.map((node) => node.inputs[at] ?? ''))].filter(Boolean);
  const lasts = namesAt(AT.seqlensK);
  const totals = namesAt(AT.totalLength);
  const biases = namesAt(AT.bias);
  if (lasts.length === 0) return `there is no ${ATTENTION}`;
  const declared = new Set(graph.inputs.map(({ name }) => name));
  if ([...lasts, ...totals].some((name) => declared.has(name))) return 'lengths are inputs already';

  const names = [...lasts, ...totals, ...biases];
  const steps = biases.length > 0 ? biasSteps(positions) : STEPS;
  const evaluations = await evaluateSubgraph(graph, names, steps, feedStep, evaluate);
  if (typeof evaluations === 'string') return evaluations;
  if (!lasts.every((name) => equals(evaluations, name, ({ past, rows }) => past + rows - 1))) {
    return `${lasts.join(', ')} is not the last position`;
  }
  if (!totals.every((name) => equals(evaluations, name, ({ past, rows }) => past + rows))) {
    return `${totals.join(', ')} is not the number of positions`;
  }
  if (!biases.every((name) => evaluations.every((evaluation) => isCausalZero(evaluation, name)))) {
    return `${biases.join(', ')} is more than a causal mask`;
  }
  for (const node of nodes) useLengthInputs(node);
  graph.inputs.push(makeValue(SEQLENS_K, INT32, [1]), makeValue(TOTAL_LENGTH, INT32, [1]));
  prune(graph);
  return undefined;
}

function useLengthInputs(node: Node): void {
  node.inputs[AT.seqlensK] = SEQLENS_K;
  node.inputs[AT.totalLength] = TOTAL_LENGTH;
  if (node.inputs.length > AT.bias) node.inputs[AT.bias] = '';
  // Trailing optional inputs are left out.
  while (node.inputs.at(-1) === '') node.inputs.pop();
}

/** True if a bias [.., rows, positions] is zero for every row at its own position and all before it. */
function isCausalZero({ input: { past, rows }, values }: Evaluation<Step>, name: string): boolean {
  const bias = values[name];
  const width = past + rows;
  if (!bias || bias.data.length === 0 || bias.data.length % (rows * width) !== 0) return false;
  if (bias.dims.at(-1) !== width || bias.dims.at(-2) !== rows) return false;
  for (let i = 0; i < bias.data.length; i++) {
    const row = Math.floor(i / width) % rows;
    if (i % width <= past + row && !isZero(bias.data, i)) return false;
  }
  return true;
}

function isZero(data: TensorData['data'], i: number): boolean {
  // Without Float16Array, halves are bits, of which the highest is the sign: zero may have it.
  return data instanceof Uint16Array ? ((data[i] ?? 1) & 0x7fff) === 0 : Number(data[i]) === 0;
}
