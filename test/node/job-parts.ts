import type { InterceptOptions } from '../../src/fetch/request-context.ts';
import { NearsightError, type ErrorCode } from '../../src/protocol/errors.ts';
import type { ChatJob, Part, TokenLogprob } from '../../src/protocol/job.ts';

/** An engine that answers each job with these parts, once its images are loaded. */
export function engineOf(
  answer: (job: ChatJob, signal?: AbortSignal) => ReadableStream<Part> | Promise<ReadableStream<Part>>,
): InterceptOptions['engine'] {
  return { generate: async (making, signal) => answer(await making, signal) };
}

/** Parts written by hand, for tests of the responses. What the runtime really sends is tested in test/browser. */
export function partsOf(...parts: readonly Part[]): ReadableStream<Part> {
  return new ReadableStream({
    start(controller) {
      for (const part of parts) controller.enqueue(part);
      controller.close();
    },
  });
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

/** Sends one part per macrotask, over and over, and says whether it was cancelled. */
export function slowParts(...parts: readonly Part[]): { stream: ReadableStream<Part>; cancelled: () => boolean } {
  let cancelled = false;
  let sent = 0;
  const stream = new ReadableStream<Part>(
    {
      async pull(controller) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        const part = parts[sent++ % parts.length];
        if (!cancelled && part) controller.enqueue(part);
      },
      cancel() {
        cancelled = true;
      },
    },
    { highWaterMark: 0 },
  );
  return { stream, cancelled: () => cancelled };
}

/** Fails with `gpu_error` after these parts, or with this code at once. */
export function failingAfter(...parts: readonly Part[] | readonly [ErrorCode]): ReadableStream<Part> {
  const rest = [...parts];
  return new ReadableStream<Part>(
    {
      pull(controller) {
        const part = rest.shift();
        if (typeof part === 'object') controller.enqueue(part);
        else controller.error(new NearsightError(part ?? 'gpu_error', 'The GPU reported an error.'));
      },
    },
    { highWaterMark: 0 },
  );
}
