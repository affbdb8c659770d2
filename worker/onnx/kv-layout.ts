import { NearsightError } from '../../src/protocol/errors.ts';
import { PAST, PRESENT } from './decoder-ports.ts';
import type { Port, Session } from './ort-session.ts';

/** How a decoder's graph names and shapes its keys and values: [1, heads, positions, headDim] in and out. */
export interface KvLayout {
  /** Graph input to graph output, one pair for the keys and one for the values of each layer. */
  names: ReadonlyMap<string, string>;
  heads: number;
  headDim: number;
  type: 'float32' | 'float16';
}

/**
 * Reads the layout from a decoder's declared inputs and outputs.
 *
 * @throws NearsightError `load_failed` if they are not as exporters for this runtime write them
 */
export function kvLayout(decoder: Session): KvLayout {
  const names = new Map<string, string>();
  let first: Port | undefined;
  for (const [name, port] of decoder.inputs) {
    if (!name.startsWith(PAST)) continue;
    const present = PRESENT + name.slice(PAST.length);
    if (!decoder.outputs.has(present)) throw new NearsightError('load_failed', `The decoder has no output ${present}.`);
    names.set(name, present);
    first ??= port;
  }
  const [, heads, , headDim] = first?.shape ?? [];
  const type = first?.type;
  if (typeof heads !== 'number' || typeof headDim !== 'number' || (type !== 'float32' && type !== 'float16')) {
    const message = `The decoder's ${PAST}* inputs are not [batch, heads, positions, size] floats.`;
    throw new NearsightError('load_failed', message);
  }
  return { names, heads, headDim, type };
}
