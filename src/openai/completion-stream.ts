import { byteStream } from '../bytes/byte-stream.ts';
import { asNearsightError } from '../protocol/errors.ts';
import type { Part } from '../protocol/job.ts';
import type { PartReader } from '../protocol/port.ts';
import { callReader, endedEarly, finishReason, writeLogprobs, writeUsage, type ResponseMeta } from './completion.ts';
import { errorBody } from './error-response.ts';
import type { ChatRequest } from './parse-request.ts';
import type { ChatCompletionChunk } from './types.ts';

const DONE = '[DONE]';

/**
 * Parts as the bytes of a server-sent event stream: for each choice a role, text as it comes, and a finish; then the
 * usage if it was asked for, and `[DONE]`. Parts are read only when the consumer asks for an event.
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
  const events = encodeEvents(head, parts, chunkWriter(request, meta), signal);
  return byteStream(
    async () => (await events.next()).value,
    (reason) => parts.cancel(reason),
  );
}

async function* encodeEvents(
  head: readonly Part[],
  parts: PartReader<Part>,
  write: (part: Part | undefined) => string[],
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array<ArrayBuffer>, undefined> {
  const encoder = new TextEncoder();
  const encode = (data: string): Uint8Array<ArrayBuffer> => encoder.encode(`data: ${data}\n\n`);
  const events = head.flatMap(write);
  try {
    for (;;) {
      while (events.length === 0) events.push(...write((await parts.read()).value));
      const event = events.shift() ?? DONE;
      // The model may be far ahead of the reader.
      signal?.throwIfAborted();
      yield encode(event);
      if (event === DONE) return;
    }
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    yield encode(JSON.stringify(errorBody(asNearsightError(error))));
  }
}

/** Writes the data of the events for a part, or for the end of the parts. Throws at the end if a choice has not finished. */
function chunkWriter(request: ChatRequest, meta: ResponseMeta): (part: Part | undefined) => string[] {
  type Choice = ChatCompletionChunk['choices'][number];
  const { job, includeUsage } = request;
  const readers = Array.from({ length: job.choices }, () => callReader(request));
  let unfinished = job.choices;
  let usage: ChatCompletionChunk['usage'];
  const noUsage = includeUsage && { usage: null };
  const write = (choices: Choice[], more: Partial<ChatCompletionChunk> = {}): string => {
    const chunk: ChatCompletionChunk = { ...meta, object: 'chat.completion.chunk', choices, ...noUsage, ...more };
    return JSON.stringify(chunk);
  };
  const event = (index: number, delta: Choice['delta'], more: Partial<Choice> = {}, prompt = {}): string =>
    write([{ index, delta, logprobs: null, finish_reason: null, ...more }], prompt);
  return (part) => {
    switch (part?.type) {
      case 'start': {
        const prompt = part.promptIds && { prompt_token_ids: part.promptIds };
        return Array.from({ length: job.choices }, (_, choice) =>
          // Whether there will be text is not known if there may be calls instead.
          event(choice, { role: 'assistant', content: request.toolChoice ? null : '' }, {}, prompt),
        );
      }
      case 'text': {
        const logprobs = part.logprobs ? writeLogprobs(part.logprobs) : null;
        if (!part.text && !logprobs && !part.ids) return [];
        const reader = readers[part.choice];
        const deltas = reader ? reader.push(part.text) : [{ content: part.text }];
        if (deltas.length === 0 && (logprobs || part.ids)) deltas.push({});
        const tokens = { logprobs, ...(part.ids && { token_ids: part.ids }) };
        return deltas.map((delta, index) => event(part.choice, delta, index === 0 ? tokens : {}));
      }
      case 'finish': {
        unfinished--;
        const reader = readers[part.choice];
        const last = reader?.finish().map((delta) => event(part.choice, delta)) ?? [];
        const reason = finishReason(part.reason, reader?.calls ?? 0, request);
        return [...last, event(part.choice, {}, { finish_reason: reason })];
      }
      case 'usage':
        usage = writeUsage(part);
        return [];
      case undefined:
        if (unfinished > 0 || !usage) throw endedEarly();
        return includeUsage ? [write([], { usage }), DONE] : [DONE];
    }
  };
}
