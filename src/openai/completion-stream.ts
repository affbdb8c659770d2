import { asNearsightError } from '../protocol/errors.ts';
import type { Part } from '../protocol/job.ts';
import type { PartReader } from '../protocol/port.ts';
import { endedEarly, writeLogprobs, writeUsage, type ResponseMeta } from './completion.ts';
import { errorBody } from './error-response.ts';
import type { ChatRequest } from './parse-request.ts';
import type { ChatCompletionChunk } from './types.ts';

const DONE = '[DONE]';

/**
 * Parts as the bytes of a server-sent event stream: for each choice a role, text as it comes, and a finish; then the
 * usage if it was asked for, and `[DONE]`. Nothing is read ahead of the consumer.
 *
 * A fault becomes an error event and the end; an abort errors the stream with the signal's reason, as it would a
 * network stream. Cancelling cancels `parts`, which does nothing after their end.
 *
 * @param head parts that were read before the answer began
 */
export function writeChunks(
  head: readonly Part[],
  parts: PartReader<Part>,
  request: ChatRequest,
  frame: ResponseMeta,
  signal?: AbortSignal,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder();
  const events = writeEvents(readOn(head, parts), request, frame);
  return new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      async pull(controller) {
        const send = (data: string): void => controller.enqueue(encoder.encode(`data: ${data}\n\n`));
        try {
          const { value } = await events.next();
          send(value ?? DONE);
          if (value === undefined) controller.close();
        } catch (error) {
          if (signal?.aborted) return controller.error(signal.reason);
          send(JSON.stringify(errorBody(asNearsightError(error))));
          controller.close();
        }
      },
      cancel: (reason) => parts.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

async function* readOn(head: readonly Part[], parts: PartReader<Part>): AsyncGenerator<Part> {
  yield* head;
  for (let next = await parts.read(); !next.done; next = await parts.read()) yield next.value;
}

/** The JSON of each event. Ends when all choices are finished; throws if the parts end before that. */
async function* writeEvents(
  parts: AsyncGenerator<Part>,
  request: ChatRequest,
  frame: ResponseMeta,
): AsyncGenerator<string, undefined> {
  type Choice = ChatCompletionChunk['choices'][number];
  const write = (choices: Choice[], usage: ChatCompletionChunk['usage'] = null): string => {
    const chunk: ChatCompletionChunk = { ...frame, object: 'chat.completion.chunk', choices };
    return JSON.stringify(request.includeUsage ? { ...chunk, usage } : chunk);
  };
  const event = (index: number, delta: Choice['delta'], more: Partial<Choice> = {}): string =>
    write([{ index, delta, logprobs: null, finish_reason: null, ...more }]);

  for (let choice = 0; choice < request.job.choices; choice++) yield event(choice, { role: 'assistant', content: '' });
  let unfinished = request.job.choices;
  let usage: ChatCompletionChunk['usage'];
  for await (const part of parts) {
    if (part.type === 'text') {
      const logprobs = part.logprobs ? writeLogprobs(part.logprobs) : null;
      if (part.text || logprobs) yield event(part.choice, { content: part.text }, { logprobs });
    } else if (part.type === 'finish') {
      unfinished--;
      yield event(part.choice, {}, { finish_reason: part.reason });
    } else if (part.type === 'usage') {
      usage = writeUsage(part);
    }
  }
  if (unfinished > 0 || !usage) throw endedEarly();
  if (request.includeUsage) yield write([], usage);
  return undefined;
}
