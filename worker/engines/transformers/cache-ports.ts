import { NearsightError } from '../../../src/protocol/errors.ts';
import { PAST } from '../../onnx/decoder-ports.ts';
import type { Session } from '../../onnx/ort-session.ts';

/** What a decoder returns of the positions it has read, and takes again: keys or values, which grow, or a state. */
export interface CachePort {
  /** The input's name. */
  past: string;
  /** The output's name. */
  present: string;
  type: 'float32' | 'float16';
  /** Undefined where the number of positions is; a state has none. */
  dims: readonly (number | undefined)[];
}

/**
 * The ports of a decoder's cache. Of keys and values, the third axis counts positions.
 *
 * @throws NearsightError `load_failed` for an input of another form
 */
export function cachePorts({ inputs, outputs }: Pick<Session, 'inputs' | 'outputs'>): CachePort[] {
  const ports: CachePort[] = [];
  for (const [past, { shape, type }] of inputs) {
    if (!past.startsWith('past')) continue;
    const named = past.startsWith(PAST) ? `present.${past.slice(PAST.length)}` : past.replace('past', 'present');
    const present = [named, named.replace('present.', 'present_key_values.')].find((each) => outputs.has(each));
    const dims = shape.map((size, axis) => (axis === 0 ? 1 : typeof size === 'number' ? size : undefined));
    const isKnown = dims.every((size, axis) => size !== undefined || (axis === 2 && dims.length === 4));
    if (present === undefined || !isKnown || !(type === 'float32' || type === 'float16'))
      throw unknownState(past, shape);
    ports.push({ past, present, type, dims });
  }
  return ports;
}

/** Whether these are keys or values. */
export function grows({ dims }: CachePort): boolean {
  return dims.includes(undefined);
}

export function unknownState(name: string, shape: readonly unknown[]): NearsightError {
  const message = `The decoder's input ${name} [${shape.join(', ')}] is neither keys or values nor a state of a fixed size.`;
  return new NearsightError('load_failed', message);
}
