/** In Node, a port that has a listener keeps the process alive, unless it is unreferenced. */
interface NodePort {
  ref?: () => void;
  unref?: () => void;
}

let channel: { port1: MessagePort & NodePort; port2: MessagePort } | undefined;
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
    const { port1 } = channel;
    port1.onmessage = () => {
      waiting.shift()?.();
      if (waiting.length === 0) port1.unref?.();
    };
  }
  lastYield = performance.now();
  const { port1, port2 } = channel;
  await new Promise<void>((resolve) => {
    waiting.push(resolve);
    port1.ref?.();
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
