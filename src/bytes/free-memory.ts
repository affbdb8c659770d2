/**
 * Frees the memory of an array that nobody needs any more, at once: it is empty afterwards.
 *
 * Chromium keeps what it has read from a file until it collects garbage, some 64 MB later, even if the array is detached
 * otherwise. What is sent to a port that is closed is dropped.
 */
export function freeMemory({ buffer }: Uint8Array<ArrayBuffer>): void {
  const { port1, port2 } = new MessageChannel();
  port2.close();
  port1.postMessage(undefined, [buffer]);
  port1.close();
}
