import { createSHA256 } from 'hash-wasm';
import { freeMemory } from '../../src/bytes/free-memory.ts';
import { yieldToEvents } from '../../src/async/yield-to-events.ts';

/** Read and hashed at a time, some 4 ms: where the worker's own thread does it, whatever else it has to do waits for that. */
const CHUNK_BYTES = 1 << 20;

/** The sha256 of a stored file, streamed: other work of this thread goes on in between. */
export async function hashOf(blob: Blob, signal: AbortSignal): Promise<string> {
  const hasher = await createSHA256();
  const read = (at: number): Promise<ArrayBuffer> => {
    const bytes = blob.slice(at, at + CHUNK_BYTES).arrayBuffer();
    // A failure is reported when the bytes are awaited, if they ever are.
    bytes.catch(() => {});
    return bytes;
  };
  let next = read(0);
  for (let at = CHUNK_BYTES; at < blob.size + CHUNK_BYTES; at += CHUNK_BYTES) {
    const bytes = new Uint8Array(await next);
    next = read(at);
    hasher.update(bytes);
    freeMemory(bytes);
    await yieldToEvents(signal);
  }
  return hasher.digest('hex');
}
