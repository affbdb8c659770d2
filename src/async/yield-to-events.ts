let channel: MessageChannel | undefined;
const waiting: (() => void)[] = [];
let lastYield = 0;

/** How long a loop may go on without the event loop, in milliseconds. */
const MAX_BUSY_MS = 8;

/**
 * Lets the thread return to its event loop, and throws if `signal` has aborted by then.
 *
 * A run on wasm never returns to the event loop by itself, so a cancel or another request would only be handled after
 * the answer has ended. Uses a MessageChannel, because timers are clamped to 4 ms.
 */
export async function yieldToEvents(signal?: AbortSignal): Promise<void> {
  if (!channel) {
    channel = new MessageChannel();
    channel.port1.onmessage = () => waiting.shift()?.();
  }
  lastYield = performance.now();
  const { port2 } = channel;
  await new Promise<void>((resolve) => {
    waiting.push(resolve);
    port2.postMessage(null);
  });
  signal?.throwIfAborted();
}

/**
 * Whether a loop should do so now. Not at each of its turns: posting and receiving a message takes 20 microseconds and 2 kB of
 * garbage, as much as all else that a captured step takes in JavaScript.
 */
export function isYieldDue(): boolean {
  return performance.now() - lastYield > MAX_BUSY_MS;
}
