import { integer, type Random } from '../../../random.ts';
import type { ImageCase } from './image-cases.ts';

/** How files are damaged: a byte is another, the end is missing, or the end is zeros (an interrupted download). */
export type Damage = 'a changed byte' | 'a missing end' | 'an end of zeros';

/** A damaged copy of a file, or undefined if the copy would be equal. */
export function damaged(random: Random, { bytes }: ImageCase, damage: Damage): Buffer | undefined {
  const at = integer(random, bytes.length);
  if (damage === 'a missing end') return bytes.subarray(0, at);
  const copy = Buffer.from(bytes);
  if (damage === 'an end of zeros') copy.fill(0, at);
  else copy[at]! ^= 1 << integer(random, 8);
  return copy.equals(bytes) ? undefined : copy;
}
