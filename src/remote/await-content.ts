import { race } from '../async/race.ts';
import { isObject } from '../openai/field-checks.ts';
import { isNearsightError } from '../protocol/errors.ts';
import { parseJSON } from './normalise-error.ts';
import { parseEvent, unusable } from './relay.ts';
import { EventSplitter } from './split-events.ts';

type Bytes = Uint8Array<ArrayBuffer>;

/** Maximum bytes in which content is looked for: an event that large is content. */
const MAX_LOOKED_BYTES = 64 * 1024;

/**
 * Waits until a stream has content, so that a failure before it can still become a status: servers send 200 and the role before
 * the model runs.
 *
 * @returns the response from its start, or an error response if the stream began with an error
 * @throws NearsightError `remote_unavailable` if it ends or breaks off before; the signal's reason
 */
export async function awaitContent(response: Response, signal: AbortSignal | undefined): Promise<Response> {
  if (!response.body) throw unusable('is empty');
  const reader: ReadableStreamDefaultReader<Bytes> = response.body.getReader();
  const chunks: Bytes[] = [];
  const from = (status: number, body: ReadableStream<Bytes> | string): Response =>
    new Response(body, {
      status,
      statusText: status === response.status ? response.statusText : '',
      headers: response.headers,
    });
  const events = new EventSplitter();
  try {
    for (let held = 0; held < MAX_LOOKED_BYTES;) {
      const { done, value } = await race(reader.read(), signal);
      if (done) throw unusable('ended before it had content');
      chunks.push(value);
      const looked = value.subarray(0, MAX_LOOKED_BYTES - held);
      held += value.length;
      for (const event of events.push(looked)) {
        const { data, isError, isContent } = parseEvent(event);
        if (isContent) return from(response.status, restOf(chunks, reader));
        if (!isError) continue;
        void reader.cancel().catch(() => {});
        return from(statusOf(data), data);
      }
    }
    return from(response.status, restOf(chunks, reader));
  } catch (cause) {
    void reader.cancel(cause).catch(() => {});
    signal?.throwIfAborted();
    throw isNearsightError(cause) ? cause : unusable('broke off', cause);
  }
}

/** What was read, then the rest. */
function restOf(chunks: Bytes[], reader: ReadableStreamDefaultReader<Bytes>): ReadableStream<Bytes> {
  return new ReadableStream<Bytes>(
    {
      async pull(controller) {
        const value = chunks.shift() ?? (await reader.read()).value;
        if (value) controller.enqueue(value);
        else controller.close();
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

/** vLLM's errors name the status that they would have had. */
function statusOf(data: string): number {
  const body = parseJSON(data);
  const { error = body } = isObject(body) ? body : {};
  const code = isObject(error) ? Number(error['code']) : NaN;
  return Number.isInteger(code) && code >= 400 && code < 600 ? code : 500;
}
