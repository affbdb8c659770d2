import { yieldToEvents } from '../../src/async/yield-to-events.ts';
import { LOGITS, LOGITS_TO_KEEP } from '../onnx/decoder-ports.ts';
import type { Session } from '../onnx/ort-session.ts';
import { elementBytes } from '../onnx/tensor.ts';

/** Maximum rows in a chunk of the prompt. The abort signal is checked between chunks. */
export const MAX_CHUNK_ROWS = 512;

/** A whole split image and its question, where what comes after it has to be read row by row. */
const MAX_FIRST_ROWS = 1280;

/** Graphs that compute logits for every row get chunks whose logits stay below this size. */
const CHUNK_LOGIT_BYTES = 64 << 20;

/** The most rows of a prompt to read at once. */
export function chunkRows({ inputs, outputs }: Session): number {
  const logits = outputs.get(LOGITS);
  const [, logitRows, vocab] = logits?.shape ?? [];
  if (logitRows === 1 || inputs.has(LOGITS_TO_KEEP) || typeof vocab !== 'number') return MAX_CHUNK_ROWS;
  const rows = Math.floor(CHUNK_LOGIT_BYTES / (vocab * elementBytes(logits?.type ?? 'float32')));
  return Math.max(32, Math.min(MAX_CHUNK_ROWS, rows));
}

/**
 * The most rows to read at once at the start of a sequence, by a graph that cannot read several after others.
 *
 * @param maxRows what the device allows
 */
export function firstRows(session: Session, maxRows: number | undefined): number {
  const rows = chunkRows(session);
  return maxRows ?? (rows < MAX_CHUNK_ROWS ? rows : MAX_FIRST_ROWS);
}

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
