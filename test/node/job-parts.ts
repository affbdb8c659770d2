import type { InterceptOptions } from '../../src/fetch/request-context.ts';
import { NearsightError, type ErrorCode } from '../../src/protocol/errors.ts';
import type { ChatJob, Part, TokenLogprob } from '../../src/protocol/job.ts';
import type { PartReader } from '../../src/protocol/port.ts';

/** An engine that answers each job with these parts, once its images are loaded. */
export function engineOf(
  answer: (job: ChatJob, signal?: AbortSignal) => PartReader<Part> | Promise<PartReader<Part>>,
): InterceptOptions['engine'] {
  return { generate: async (making, signal) => answer(await making, signal) };
}

/** Gives `next()` at each read, and ends when that is undefined. */
function readerOf(next: () => Part | undefined | Promise<Part | undefined>, onCancel?: () => void): PartReader<Part> {
  let cancelled = false;
  return {
    async read() {
      const value = cancelled ? undefined : await next();
      return cancelled || !value ? { done: true, value: undefined } : { done: false, value };
    },
    async cancel() {
      cancelled = true;
      onCancel?.();
    },
  };
}

/** Parts written by hand, for tests of the answers that are made of them. What a runtime sends is tested in test/browser. */
export function partsOf(...parts: readonly Part[]): PartReader<Part> {
  const rest = [...parts];
  return readerOf(() => rest.shift());
}

export const START: Part = { type: 'start', promptTokens: 70, cachedTokens: 12, device: 'webgpu' };
export const USAGE: Part = { type: 'usage', promptTokens: 70, cachedTokens: 12, completionTokens: 3 };

export function text(value: string, choice = 0, logprobs?: TokenLogprob[]): Part {
  return { type: 'text', choice, text: value, logprobs };
}

export function finish(choice = 0, reason: 'stop' | 'length' = 'stop'): Part {
  return { type: 'finish', choice, reason };
}

/** "A red cat.", in three texts. */
export const ANSWER: readonly Part[] = [START, text('A red'), text(' ca'), text('t.'), finish(), USAGE];

/** Repeats these parts for ever, one per macrotask. `cancelled` says whether the reader has cancelled. */
export function slowParts(...parts: readonly Part[]): { stream: PartReader<Part>; cancelled: () => boolean } {
  let cancelled = false;
  let sent = 0;
  const next = async (): Promise<Part | undefined> => {
    await new Promise((resolve) => setTimeout(resolve, 1));
    return parts[sent++ % parts.length];
  };
  return { stream: readerOf(next, () => (cancelled = true)), cancelled: () => cancelled };
}

/** Ends in an error: of the GPU after these parts, or with this code at once. */
export function failingAfter(...parts: readonly Part[] | readonly [ErrorCode]): PartReader<Part> {
  const rest = [...parts];
  return readerOf(() => {
    const part = rest.shift();
    if (typeof part === 'object') return part;
    throw new NearsightError(part ?? 'gpu_error', 'The GPU reported an error.');
  });
}
