import { encode, type Graph, type Value } from '../model/graph.ts';
import { extract, weightBytes } from '../model/graph-edit.ts';
import type { Evaluate, Sample } from './evaluate-model.ts';

/** Values of a graph, as computed for one case. */
export interface Trial<Case> {
  given: Case;
  values: Readonly<Record<string, Sample>>;
}

/** What is computed from lengths and masks has no weights worth the name. */
export const MOST_BYTES = 1 << 16;

/**
 * Computes values of a graph for several cases, without the rest of the graph: so their meaning can be told from what
 * they are, whatever operators an exporter chose to get there.
 *
 * @param feed what an input is given in a case, if it is known
 * @returns a trial for each case, or why there are none
 */
export async function tryOut<Case>(
  graph: Graph,
  names: readonly string[],
  cases: readonly Case[],
  feed: (input: Value, given: Case) => Sample | undefined,
  evaluate: Evaluate,
): Promise<Trial<Case>[] | string> {
  const part = extract(graph, names);
  if (weightBytes(part) > MOST_BYTES) return `${names.join(', ')}: computed with weights`;
  const model = encode(part);
  const trials: Trial<Case>[] = [];
  for (const given of cases) {
    const feeds = new Map<string, Sample>();
    for (const input of part.inputs) {
      const sample = feed(input, given);
      if (!sample) return `${names.join(', ')}: computed from an input that is not known here, ${input.name}`;
      feeds.set(input.name, sample);
    }
    try {
      trials.push({ given, values: await evaluate(model, feeds) });
    } catch (error) {
      return `${names.join(', ')}: cannot be computed, ${String(error)}`;
    }
  }
  return trials;
}
