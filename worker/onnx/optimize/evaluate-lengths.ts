import { ATTENTION_MASK, INPUTS_EMBEDS, PAST, POSITION_IDS } from '../decoder-ports.ts';
import { FLOAT, FLOAT16, INT64, type Value } from '../model/graph.ts';
import type { TensorData } from './evaluate-model.ts';
import type { Evaluation } from './evaluate-subgraph.ts';

/** One run of a decoder: `past` positions in the cache and `rows` new ones; batch 1, no padding. */
export interface Step {
  past: number;
  rows: number;
}

/** A first prompt of one row and of several; a later chunk; one token, early and late. */
export const STEPS: readonly Step[] = [
  { past: 0, rows: 1 },
  { past: 0, rows: 5 },
  { past: 6, rows: 4 },
  { past: 1, rows: 1 },
  { past: 37, rows: 1 },
];

/** Steps that show a bias: {@link STEPS}, and the last position, which a sliding window hides most from. */
export function biasSteps(positions: number): readonly Step[] {
  return [...STEPS, { past: positions - 1, rows: 1 }];
}

/** A decoder's input at a step, for values that depend on lengths alone. */
export function feedStep({ name, type, dims }: Value, { past, rows }: Step): TensorData | undefined {
  if (name === ATTENTION_MASK && type === INT64) {
    return { type: 'int64', dims: [1, past + rows], data: new BigInt64Array(past + rows).fill(1n) };
  }
  if (name === POSITION_IDS && type === INT64) {
    return { type: 'int64', dims: [1, rows], data: BigInt64Array.from({ length: rows }, (_, i) => BigInt(past + i)) };
  }
  const [, second, third, last] = dims;
  if (name === INPUTS_EMBEDS && isSize(third)) return zeros(type, [1, rows, third]);
  if (!name.startsWith(PAST) || !isSize(second) || !isSize(last)) return undefined;
  return zeros(type, [1, second, past, last]);
}

/** True for a plausible width or number of heads: guards against allocating what a broken file declares. */
function isSize(dim: number | string | undefined): dim is number {
  return typeof dim === 'number' && dim > 0 && dim <= 1 << 16;
}

function zeros(type: number, dims: readonly number[]): TensorData | undefined {
  const count = dims.reduce((product, dim) => product * dim, 1);
  if (type === FLOAT) return { type: 'float32', dims, data: new Float32Array(count) };
  return type === FLOAT16 ? { type: 'float16', dims, data: new Uint16Array(count) } : undefined;
}

/** True if the value is one number, as expected at every step. */
export function equals(
  evaluations: readonly Evaluation<Step>[],
  name: string,
  expected: (step: Step) => number,
): boolean {
  return evaluations.every(({ input, values }) => {
    const data = values[name]?.data;
    return data?.length === 1 && Number(data[0]) === expected(input);
  });
}
