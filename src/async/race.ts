/**
 * Settles as `work` does, or rejects with `signal`'s own reason as soon as it aborts. Removes its listener in both
 * cases.
 *
 * `work` itself goes on after an abort, unless it listens to the same signal.
 */
export async function race<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return work;
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
  try {
    const settled = await Promise.race([work, aborted]);
    signal.throwIfAborted();
    return settled;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
