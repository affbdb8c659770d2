import { NearsightError } from '../../src/protocol/errors.ts';
import type { Prompt } from '../families/processor.ts';

/**
 * Checks that a prompt and its answer fit in the context, before any work is done.
 *
 * @param maxTokens as requested; absent: the rest of the context
 * @param minTokens as requested
 * @returns maximum number of tokens in an answer
 * @throws NearsightError `invalid_request` without any tokens, `context_length_exceeded` with the counts
 */
export function admit(prompt: Prompt, maxTokens: number | undefined, contextLength: number, minTokens = 0): number {
  const ids = prompt.ids.length;
  if (ids === 0) throw new NearsightError('invalid_request', 'The prompt is empty.');
  const imageTokens = prompt.images.reduce((sum, { tokens }) => sum + tokens, 0);
  // Without `max_tokens`, there must be space for at least one token.
  const needed = maxTokens ?? Math.max(minTokens, 1);
  if (ids + needed <= contextLength) return maxTokens ?? contextLength - ids;
  const inImages = imageTokens > 0 ? `, ${imageTokens} of them in ${count(prompt.images.length, 'image')}` : '';
  const full = ids >= contextLength;
  const limit = maxTokens === undefined ? 'min_tokens' : 'max_tokens';
  const lessText = full ? 'less text or fewer messages' : `less text, fewer messages or a smaller ${limit}`;
  const remedy = imageTokens > contextLength / 2 ? "fewer images or detail 'low'" : lessText;
  throw new NearsightError(
    'context_length_exceeded',
    `This model's context is ${contextLength} tokens. The request needs ${ids + needed}: ` +
      `${ids} in the messages${inImages}, ${needed} for the answer. Send ${remedy}.`,
    { param: full ? 'messages' : limit },
  );
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
