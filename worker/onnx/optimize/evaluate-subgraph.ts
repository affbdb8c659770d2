import { encode, type Graph, type Value } from '../model/graph.ts';
import { extract, weightBytes } from '../model/graph-edit.ts';
import type { Evaluate, TensorData } from './evaluate-model.ts';

/** Values of a graph, as computed for one case. */
export interface Evaluation<Case> {
  input: Case;
  values: Readonly<Record<string, TensorData>>;
}

/** What is computed from lengths and masks has no weights worth the name. */
export const MAX_WEIGHT_BYTES = 1 << 16;

/**
 * Computes values of a graph for several cases, without the rest of the graph: so their meaning can be told from what
 * they are, whatever operators an exporter chose to get there.
 *
 * @param feed what an input is given in a case, if it is known
 * @returns a trial for each case, or why there are none
 */
export async function evaluateSubgraph<Case>(
  graph: Graph,
  names: readonly string[],
  cases: readonly Case[],
  feed: (input: Value, given: Case) => TensorData | undefined,
  evaluate: Evaluate,
): Promise<Evaluation<Case>[] | string> {
  const part = extract(graph, names);
  if (weightBytes(part) > MAX_WEIGHT_BYTES) return `${names.join(', ')}: computed with weights`;
  const model = encode(part);
  const trials: Evaluation<Case>[] = [];
  for (const given of cases) {
    const feeds = new Map<string, TensorData>();
    for (const input of part.inputs) {
      const sample = feed(input, given);
      if (!sample) return `${names.join(', ')}: computed from an input that is not known here, ${input.name}`;
      feeds.set(input.name, sample);
    }
    try {
      trials.push({ input: given, values: await evaluate(model, feeds) });
    } catch (error) {
      return `${names.join(', ')}: cannot be computed, ${String(error)}`;
    }
  }
  return trials;
}
