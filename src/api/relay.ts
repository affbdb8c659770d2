import { isObject } from './check.ts';
import { isErrorEvent, normaliseError } from './normalise.ts';

const NEWLINE = 10;

/**
 * Passes a remote's event stream through byte for byte, but for error events, which get the one envelope, and the
 * model's name where another was asked for.
 *
 * @param model the name to put into each event; absent: leave it
 */
export function relayEvents(model?: string): TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> {
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  let rest: Uint8Array<ArrayBuffer> = new Uint8Array();
  let named = false;
  const relay = (line: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> => {
    const text = decoder.decode(line);
    if (text.startsWith('event:')) named = /^event:\s*error\s*$/.test(text);
    if (text.trim() === '') named = false;
    const [, prefix = '', data = '', end = ''] = /^(data: ?)(.*?)(\r?\n?)$/s.exec(text) ?? [];
    const changed = data && rewrite(data, named, model);
    return changed ? encoder.encode(prefix + changed + end) : line;
  };
  return new TransformStream({
    transform(chunk, controller) {
      // Lines are cut at bytes, so that a character split between chunks stays whole.
      let start = 0;
      const bytes = join(rest, chunk);
      for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
        controller.enqueue(relay(bytes.slice(start, end + 1)));
        start = end + 1;
      }
      rest = bytes.slice(start);
    },
    flush(controller) {
      if (rest.length > 0) controller.enqueue(relay(rest));
    },
  });
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

function join(one: Uint8Array<ArrayBuffer>, other: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (one.length === 0) return other;
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}
