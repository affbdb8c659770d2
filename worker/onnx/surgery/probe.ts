import { encode, FLOAT, FLOAT16, type Graph, INT64 } from '../graph.ts';
import { extract, weightBytes } from '../graph-edit.ts';
import type { Evaluate, Sample } from './evaluate.ts';

/** Where a decoder stands: `past` positions in the cache, `rows` new ones. Batch 1, no padding: all that we run. */
export interface Step {
  past: number;
  rows: number;
}

/** First prompt, of one row and of more; a later chunk; one token, early and late. */
const STEPS: readonly Step[] = [
  { past: 0, rows: 1 },
  { past: 0, rows: 5 },
  { past: 6, rows: 4 },
  { past: 1, rows: 1 },
  { past: 37, rows: 1 },
];

/** What is computed from lengths alone has no weights worth the name. */
const MOST_BYTES = 1 << 16;

/** Values that a decoder computes, at one step. */
export interface Probe {
  step: Step;
  values: Readonly<Record<string, Sample>>;
}

/**
 * Finds out what the values of a decoder mean by computing them, at several lengths: whatever operators an exporter
 * chose to get from the mask to a length, the length is what counts.
 *
 * @returns a probe for each step, or why there are none
 */
export async function probe(graph: Graph, names: readonly string[], evaluate: Evaluate): Promise<Probe[] | string> {
  const part = extract(graph, names);
  if (weightBytes(part) > MOST_BYTES) return 'lengths depend on more than the mask';
  const model = encode(part);
  const probes: Probe[] = [];
  for (const step of STEPS) {
    const feeds = new Map<string, Sample>();
    for (const { name, type, dims } of part.inputs) {
      const sample = feed(name, type, dims, step);
      if (!sample) return `lengths depend on an input that is not known here: ${name}`;
      feeds.set(name, sample);
    }
    probes.push({ step, values: await evaluate(model, feeds) });
  }
  return probes;
}

function feed(name: string, type: number, declared: readonly (number | string)[], step: Step): Sample | undefined {
  const { past, rows } = step;
  if (name === 'attention_mask' && type === INT64) {
    return { type: 'int64', dims: [1, past + rows], data: new BigInt64Array(past + rows).fill(1n) };
  }
  if (name === 'position_ids' && type === INT64) {
    return { type: 'int64', dims: [1, rows], data: BigInt64Array.from({ length: rows }, (_, i) => BigInt(past + i)) };
  }
  const [, second, third, last] = declared;
  if (name === 'inputs_embeds' && type === FLOAT && typeof third === 'number') return zeros(type, [1, rows, third]);
  if (!name.startsWith('past_key_values.') || typeof second !== 'number' || typeof last !== 'number') return undefined;
  return type === FLOAT || type === FLOAT16 ? zeros(type, [1, second, past, last]) : undefined;
}

function zeros(type: number, dims: readonly number[]): Sample {
  const count = dims.reduce((product, dim) => product * dim, 1);
  return type === FLOAT16
    ? { type: 'float16', dims, data: new Uint16Array(count) }
    : { type: 'float32', dims, data: new Float32Array(count) };
}

/** True if the value is this one number at every step. */
export function isEverywhere(probes: readonly Probe[], name: string, expected: (step: Step) => number): boolean {
  return probes.every(({ step, values }) => {
    const data = values[name]?.data;
    return data?.length === 1 && Number(data[0]) === expected(step);
  });
}
