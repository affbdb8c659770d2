import { encode, type Graph, type Value } from '../model/graph.ts';
import { extract, weightBytes } from '../model/graph-edit.ts';
import type { Evaluate, TensorData } from './evaluate-model.ts';

/** Values of a graph, evaluated for one input. */
export interface Evaluation<Input> {
  input: Input;
  values: Readonly<Record<string, TensorData>>;
}

/** Subgraphs that compute lengths or masks have hardly any weights: a larger one is something else. */
export const MAX_WEIGHT_BYTES = 1 << 16;

/**
 * Evaluates values of a graph for several inputs, without the rest of the graph, so that a pass can recognise a value by
 * its numbers, whatever operators an exporter chose to compute it.
 *
 * @param feed makes a graph input's tensor; undefined for an input that it does not know
 * @returns an evaluation for each input, or why there are none
 */
export async function evaluateSubgraph<Input>(
  graph: Graph,
  names: readonly string[],
  inputs: readonly Input[],
  feed: (value: Value, input: Input) => TensorData | undefined,
  evaluate: Evaluate,
): Promise<Evaluation<Input>[] | string> {
  const part = extract(graph, names);
  if (weightBytes(part) > MAX_WEIGHT_BYTES) return `${names.join(', ')}: computed with weights`;
  const model = encode(part);
  const evaluations: Evaluation<Input>[] = [];
  for (const input of inputs) {
    const feeds = new Map<string, TensorData>();
    for (const value of part.inputs) {
      const tensor = feed(value, input);
      if (!tensor) return `${names.join(', ')}: computed from an unknown input, ${value.name}`;
      feeds.set(value.name, tensor);
    }
    try {
      evaluations.push({ input, values: await evaluate(model, feeds) });
    } catch (error) {
      return `${names.join(', ')}: cannot be computed, ${String(error)}`;
    }
  }
  return evaluations;
}
