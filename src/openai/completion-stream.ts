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
 * @param head parts that were read before
 */
export function streamChunks(
  head: readonly Part[],
  parts: PartReader<Part>,
  request: ChatRequest,
  meta: ResponseMeta,
  signal?: AbortSignal,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder();
  const writer = new ChunkWriter(request, meta);
  const events = [...writer.roles(), ...head.flatMap((part) => writer.write(part))];
  return new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      async pull(controller) {
        const send = (data: string): void => controller.enqueue(encoder.encode(`data: ${data}\n\n`));
        try {
          while (events.length === 0) {
            const { done, value } = await parts.read();
            events.push(...(done ? writer.end() : writer.write(value)));
          }
          const event = events.shift() ?? DONE;
          send(event);
          if (event === DONE) controller.close();
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

type Choice = ChatCompletionChunk['choices'][number];

/** Writes the data of each event. */
class ChunkWriter {
  readonly #request: ChatRequest;
  readonly #meta: ResponseMeta;
  #unfinished: number;
  #usage: ChatCompletionChunk['usage'];

  constructor(request: ChatRequest, meta: ResponseMeta) {
    this.#request = request;
    this.#meta = meta;
    this.#unfinished = request.job.choices;
  }

  roles(): string[] {
    const delta = { role: 'assistant', content: '' } as const;
    return Array.from({ length: this.#request.job.choices }, (_, index) => this.#event(index, delta));
  }

  /** One event, or none. */
  write(part: Part): string[] {
    if (part.type === 'text') {
      const logprobs = part.logprobs ? writeLogprobs(part.logprobs) : null;
      return part.text || logprobs ? [this.#event(part.choice, { content: part.text }, { logprobs })] : [];
    }
    if (part.type === 'finish') {
      this.#unfinished--;
      return [this.#event(part.choice, {}, { finish_reason: part.reason })];
    }
    if (part.type === 'usage') this.#usage = writeUsage(part);
    return [];
  }

  /** @throws NearsightError if a choice has not finished */
  end(): string[] {
    if (this.#unfinished > 0 || !this.#usage) throw endedEarly();
    return this.#request.includeUsage ? [this.#chunk([], this.#usage), DONE] : [DONE];
  }

  #event(index: number, delta: Choice['delta'], more: Partial<Choice> = {}): string {
    return this.#chunk([{ index, delta, logprobs: null, finish_reason: null, ...more }]);
  }

  #chunk(choices: Choice[], usage: ChatCompletionChunk['usage'] = null): string {
    const chunk: ChatCompletionChunk = { ...this.#meta, object: 'chat.completion.chunk', choices };
    return JSON.stringify(this.#request.includeUsage ? { ...chunk, usage } : chunk);
  }
}
