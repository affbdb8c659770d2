import { yieldToEvents } from '../../src/async/yield-to-events.ts';

/**
 * The ids of a prompt in chunks. Before each, events are handled, so that an abort ends it.
 *
 * @param maxRows of the next chunk
 * @throws the signal's reason
 */
export async function* promptChunks(
  ids: Int32Array,
  maxRows: () => number,
  signal: AbortSignal,
): AsyncGenerator<Int32Array, void> {
  let start = 0;
  while (start < ids.length) {
    await yieldToEvents(signal);
    const chunk = ids.subarray(start, start + maxRows());
    start += chunk.length;
    yield chunk;
  }
  signal.throwIfAborted();
}
