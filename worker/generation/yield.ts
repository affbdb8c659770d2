const channel = new MessageChannel();
const waiting: (() => void)[] = [];
channel.port1.onmessage = () => waiting.shift()?.();

/**
 * Lets the thread return to its event loop, and throws if `signal` has aborted by then.
 *
 * On wasm a run is over without ever leaving the thread: without this, a cancel or another request would not be heard
 * before the answer has ended. (A MessageChannel, because timers are clamped to 4 ms.)
 */
export async function yieldToEvents(signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    waiting.push(resolve);
    channel.port2.postMessage(null);
  });
  signal.throwIfAborted();
}

/** What a promise settles to, or the signal's reason as soon as it aborts. */
export async function race<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort);
  });
  try {
    const settled = await Promise.race([promise, aborted]);
    signal.throwIfAborted();
    return settled;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
