import { yieldToEvents } from '../async/yield-to-events.ts';
import { NearsightError } from '../protocol/errors.ts';
import { isObject } from '../openai/field-checks.ts';
import { errorBody } from '../openai/error-response.ts';
import { normaliseError, parseJSON } from './normalise-error.ts';
import { EventSplitter } from './split-events.ts';

type Bytes = Uint8Array<ArrayBuffer>;

/** Maximum bytes of one event. */
const MAX_EVENT_BYTES = 8 * 1024 * 1024;

/** Maximum bytes handled before yielding to the event loop, and maximum bytes of an event that are read as JSON. */
const SLICE = 64 * 1024;

/** The fixed cost of a chunk or an event, counted as bytes. */
const OVERHEAD = 256;

/** Milliseconds after which it yields before that, on a slow or busy machine. */
const TURN_MS = 8;

const DONE = '[DONE]';
const encoder = new TextEncoder();

/**
 * Passes a remote's event stream on, event by event and byte for byte, with two exceptions: error events get our
 * envelope, and `model` replaces the name of the model. (Of events over 64 KiB, only the beginning is searched for
 * either.)
 *
 * The stream is complete after `[DONE]`, after an error event, or if it ends between events when all choices have
 * finished. If it ends or breaks off before that, or an event has more than 8 MiB, the last event is an error
 * `remote_unavailable`; an incomplete event is dropped. An abort errors the stream with the signal's reason. Cancelling
 * cancels `body`, which tells the server to stop.
 *
 * @param model the name to put into each event; absent: unchanged
 */
export function relayEvents(body: ReadableStream<Bytes>, model?: string, signal?: AbortSignal): ReadableStream<Bytes> {
  const reader = body.getReader();
  const progress = new Progress();
  const spend = turnBudget(signal);
  const parts = relay(reader, progress, spend, model);
  // Not a stream of bytes, for BYOB readers: each event would be a buffer to transfer, which takes tasks of over 50 ms.
  return new ReadableStream<Bytes>(
    {
      async pull(controller) {
        try {
          const { value } = await parts.next();
          await spend(value?.length ?? 0);
          signal?.throwIfAborted();
          if (value) controller.enqueue(value);
          else controller.close();
        } catch (cause) {
          void reader.cancel(cause).catch(() => {});
          if (signal?.aborted) return controller.error(signal.reason);
          const error = cause instanceof NearsightError ? cause : unusable('broke off', cause);
          if (!progress.ended) controller.enqueue(encoder.encode(`data: ${JSON.stringify(errorBody(error))}\n\n`));
          controller.close();
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

async function* relay(
  reader: ReadableStreamDefaultReader<Bytes>,
  progress: Progress,
  spend: (bytes: number) => Promise<void>,
  model: string | undefined,
): AsyncGenerator<Bytes, undefined> {
  const events = new EventSplitter();
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    for (let at = 0; at < next.value.length; at += SLICE) {
      const slice = next.value.subarray(at, at + SLICE);
      await spend(slice.length);
      for (const event of events.push(slice)) yield* rewrite(event, progress, model);
      if (events.pending.length > MAX_EVENT_BYTES)
        throw unusable(`has more than ${MAX_EVENT_BYTES} bytes in one event`);
    }
  }
  const rest = new TextDecoder().decode(events.pending.subarray(0, SLICE)).trim();
  if (/^data: ?\[DONE\]$/.test(rest)) yield encoder.encode(`data: ${DONE}\n\n`);
  else if (!progress.ended && (rest || !progress.finished)) throw unusable('ended before it was complete');
  return undefined;
}

/** What an event, or its beginning, holds. */
interface ParsedEvent {
  data: string;
  /** Lines that are not data. */
  fields: string[];
  /** Its JSON; undefined if it is none, or only the beginning of it. */
  json: unknown;
  isError: boolean;
  /** Whether it is part of an answer: more than the role, or the end. */
  isContent: boolean;
}

export function parseEvent(event: Bytes): ParsedEvent {
  const lines = new TextDecoder().decode(event.subarray(0, SLICE)).split(/\r\n?|\n/);
  const fields = lines.filter((line) => !isData(line));
  const data = lines
    .filter(isData)
    .map((line) => line.replace(/^data:? ?/, ''))
    .join('\n');
  const json = data === DONE ? undefined : parseJSON(data);
  const isError = data !== DONE && (fields.some((line) => /^event: ?error\s*$/.test(line)) || isErrorEvent(json, data));
  const isContent = !isError && data !== '' && (!isObject(json) || hasContent(json['choices']));
  return { data, fields, json, isError, isContent };
}

/** Of what is not known, it is taken for granted. */
function hasContent(choices: unknown): boolean {
  if (!Array.isArray(choices)) return true;
  return choices.some((choice: unknown) => {
    const { delta, finish_reason } = isObject(choice) ? choice : {};
    if (finish_reason || !isObject(delta)) return true;
    return Object.entries(delta).some(([name, value]) => name !== 'role' && Boolean(value));
  });
}

/** An event as the client gets it, in slices of at most {@link SLICE} bytes. */
function* rewrite(event: Bytes, progress: Progress, model: string | undefined): Generator<Bytes> {
  const parsed = parseEvent(event);
  const changed = replacement(parsed, progress, model);
  if (changed !== undefined) {
    yield encoder.encode([...parsed.fields.filter(Boolean), `data: ${changed}`, '', ''].join('\n'));
    return;
  }
  let rest = event;
  if (event.length > SLICE && model !== undefined) {
    // latin1 has one character per byte, so that the index of the match is that of the bytes.
    const name = /"model"\s*:\s*"(?:[^"\\]|\\.)*"/.exec(new TextDecoder('latin1').decode(event.subarray(0, SLICE)));
    if (name) {
      yield event.slice(0, name.index);
      yield encoder.encode(`"model":${JSON.stringify(model)}`);
      rest = event.subarray(name.index + name[0].length);
    }
  }
  for (let at = 0; at < rest.length; at += SLICE) yield rest.slice(at, at + SLICE);
}

function isData(line: string): boolean {
  return /^data(:|$)/.test(line);
}

/** What replaces the data of an event, or its beginning; absent: nothing does. */
function replacement({ data, json, isError }: ParsedEvent, progress: Progress, model?: string): string | undefined {
  if (data === DONE || isError) progress.ended = true;
  if (isError) return JSON.stringify(normaliseError(500, '', data));
  if (!isObject(json)) return undefined;
  progress.note(json['choices']);
  return model === undefined || json['model'] === model ? undefined : JSON.stringify({ ...json, model });
}

/** Whether an event's JSON is an error, in vLLM's newer format, its older flat one, or as a string. */
function isErrorEvent(event: unknown, data: string): boolean {
  // It is text, or the beginning of a large event.
  if (event === undefined) return /^\s*\{\s*"((error|message|detail)"\s*:(?!\s*null)|object"\s*:\s*"error")/.test(data);
  if (!isObject(event)) return false;
  if (event['error'] || event['object'] === 'error') return true;
  return !('choices' in event) && ('message' in event || 'detail' in event);
}

/** What has been seen of an answer. */
class Progress {
  /** `[DONE]` or an error event was seen. */
  ended = false;
  /** Whether each choice has finished, by its index. */
  readonly #choices = new Map<unknown, boolean>();

  /** Whether there are choices, and all have finished. */
  get finished(): boolean {
    return this.#choices.size > 0 && [...this.#choices.values()].every(Boolean);
  }

  note(choices: unknown): void {
    for (const choice of Array.isArray(choices) ? choices.filter(isObject) : []) {
      const { index, finish_reason } = choice;
      this.#choices.set(index, Boolean(finish_reason) || this.#choices.get(index) === true);
    }
  }
}

/** Counts bytes and time, and yields to the page's events after {@link SLICE} of them or {@link TURN_MS}. */
function turnBudget(signal?: AbortSignal): (bytes: number) => Promise<void> {
  let handled = 0;
  let began = performance.now();
  return async (bytes) => {
    handled += OVERHEAD + bytes;
    if (handled < SLICE && performance.now() - began < TURN_MS) return;
    handled = 0;
    await yieldToEvents(signal);
    began = performance.now();
  };
}

/** The error for an answer that a client cannot use. */
export function unusable(what: string, cause?: unknown): NearsightError {
  return new NearsightError('remote_unavailable', `The remote's answer ${what}.`, { cause });
}
