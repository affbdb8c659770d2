const channel = new MessageChannel();
const waiting: (() => void)[] = [];
channel.port1.onmessage = () => waiting.shift()?.();

/**
 * Lets the thread return to its event loop, and throws if `signal` has aborted by then.
 *
 * On wasm a run is over without ever leaving the thread: without this, a cancel or another request would not be heard
 * before the answer has ended. (A MessageChannel, because timers are clamped to 4 ms.)
 */
export async function pause(signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    waiting.push(resolve);
    channel.port2.postMessage(null);
  });
  signal.throwIfAborted();
}

/** Waits for a promise, but not beyond an abort: then it throws the signal's reason. */
export async function orAbort(promise: Promise<unknown>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  let stop = (): void => {};
  const aborted = new Promise<void>((resolve) => {
    stop = resolve;
  });
  signal.addEventListener('abort', stop);
  try {
    await Promise.race([promise, aborted]);
    signal.throwIfAborted();
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
