let channel: MessageChannel | undefined;
const waiting: (() => void)[] = [];

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
  const { port2 } = channel;
  await new Promise<void>((resolve) => {
    waiting.push(resolve);
    port2.postMessage(null);
  });
  signal?.throwIfAborted();
}
