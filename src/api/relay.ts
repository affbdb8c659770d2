import { NearsightError } from '../wire/error.ts';
import { isObject } from './check.ts';
import { errorBody } from './failure.ts';
import { isErrorEvent, normaliseError } from './normalise.ts';

const NEWLINE = 10;

type Bytes = Uint8Array<ArrayBuffer>;

/**
 * Passes a remote's event stream through byte for byte, but for error events, which get the one envelope, and the
 * model's name where another was asked for. A connection that breaks off becomes an error event and the end, and an
 * abort the stream's error. Cancelling cancels `body`, which tells the server to stop.
 *
 * @param model the name to put into each event; absent: leave it
 */
export function relayEvents(body: ReadableStream<Bytes>, model?: string, signal?: AbortSignal): ReadableStream<Bytes> {
  const reader = body.getReader();
  const encoder = new TextEncoder();
  const lines = new Lines();
  let inError = false;
  const relay = (line: Bytes): Bytes => {
    const text = new TextDecoder().decode(line);
    if (text.startsWith('event:')) inError = /^event:\s*error\s*$/.test(text);
    if (text.trim() === '') inError = false;
    const [, prefix = '', data = '', end = ''] = /^(data: ?)(.*?)(\r?\n?)$/s.exec(text) ?? [];
    const changed = data && rewrite(data, inError, model);
    return changed ? encoder.encode(prefix + changed + end) : line;
  };
  return new ReadableStream<Bytes>(
    {
      async pull(controller) {
        try {
          for (;;) {
            const { done, value } = await reader.read();
            const whole = (done ? lines.end() : lines.add(value)).map(relay);
            for (const line of whole) controller.enqueue(line);
            if (done) return controller.close();
            if (whole.length > 0) return;
          }
        } catch (cause) {
          if (signal?.aborted) return controller.error(signal.reason);
          const error = new NearsightError('remote_unavailable', "The remote's answer broke off.", { cause });
          controller.enqueue(encoder.encode(`data: ${JSON.stringify(errorBody(error))}\n\n`));
          controller.close();
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

/** Cuts chunks into lines. At bytes, so that a character split between chunks stays whole. */
class Lines {
  #rest: Bytes = new Uint8Array();

  /** The lines that are whole by now, each with its end. */
  add(chunk: Bytes): Bytes[] {
    const bytes = join(this.#rest, chunk);
    const lines: Bytes[] = [];
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      lines.push(bytes.slice(start, end + 1));
      start = end + 1;
    }
    this.#rest = bytes.slice(start);
    return lines;
  }

  /** What is left without an end. */
  end(): Bytes[] {
    return this.#rest.length > 0 ? [this.#rest] : [];
  }
}

/** What to send instead of an event's data; absent: the same. */
function rewrite(data: string, isError: boolean, model: string | undefined): string | undefined {
  // Most events need no parsing: text that merely speaks of errors is let through below.
  if (!isError && model === undefined && !/"error"|"detail"|"message"/.test(data)) return undefined;
  let event: unknown;
  try {
    event = JSON.parse(data);
  } catch {
    return isError ? JSON.stringify(normaliseError(500, '', data)) : undefined;
  }
  if (isError || isErrorEvent(event)) return JSON.stringify(normaliseError(500, '', data));
  if (model === undefined || !isObject(event) || event['model'] === model) return undefined;
  return JSON.stringify({ ...event, model });
}

function join(one: Bytes, other: Bytes): Bytes {
  if (one.length === 0) return other;
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}
