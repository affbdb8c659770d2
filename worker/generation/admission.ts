import { NearsightError } from '../../src/protocol/errors.ts';
import type { Prompt } from '../families/processor.ts';

/**
 * Whether a prompt and its answer fit in the context, decided before any work is done.
 *
 * @param maxTokens as asked for; absent: what the context leaves
 * @returns most tokens that an answer may have
 * @throws NearsightError `context_length_exceeded` with the counts
 */
export function admit(prompt: Prompt, maxTokens: number | undefined, contextLength: number): number {
  const ids = prompt.ids.length;
  const ofImages = prompt.images.reduce((sum, { tokens }) => sum + tokens, 0);
  // An answer has one token at least; asked for none, none are needed.
  const wanted = maxTokens ?? 1;
  if (ids + wanted <= contextLength) return maxTokens ?? contextLength - ids;
  const inImages = ofImages > 0 ? `, ${ofImages} of them in ${count(prompt.images.length, 'image')}` : '';
  const full = ids >= contextLength;
  const less = full ? 'less text or fewer messages' : 'less text, fewer messages or a smaller max_tokens';
  const remedy = ofImages > contextLength / 2 ? "fewer images or detail 'low'" : less;
  throw new NearsightError(
    'context_length_exceeded',
    `This model's context is ${contextLength} tokens. The request needs ${ids + wanted}: ` +
      `${ids} in the messages${inImages}, ${wanted} for the answer. Send ${remedy}.`,
    { param: full ? 'messages' : 'max_tokens' },
  );
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
