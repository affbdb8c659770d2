import { NearsightError } from '../../src/protocol/errors.ts';

/**
 * Checks that a prompt's tokens have embeddings. A GPU would look others up beside the table, and not say so.
 *
 * @param replaced a token whose embedding is not used
 * @throws NearsightError `load_failed`
 */
export function checkTokens(ids: Int32Array, vocab: number, replaced?: number): void {
  const outside = ids.find((id) => id >= vocab && id !== replaced);
  if (outside === undefined) return;
  const message = `The model's chat template writes token ${outside}, but its embeddings end at ${vocab - 1}.`;
  throw new NearsightError('load_failed', message);
}
