import { createSHA256 } from 'hash-wasm';
import { yieldToEvents } from '../../src/async/yield-to-events.ts';

/** Read at a time. */
const CHUNK_BYTES = 1 << 20;

/** The sha256 of a stored file, streamed: other work of this thread goes on in between. */
export async function hashOf(blob: Blob, signal: AbortSignal): Promise<string> {
  const hasher = await createSHA256();
  for (let at = 0; at < blob.size; at += CHUNK_BYTES) {
    hasher.update(new Uint8Array(await blob.slice(at, at + CHUNK_BYTES).arrayBuffer()));
    await yieldToEvents(signal);
  }
  return hasher.digest('hex');
}
