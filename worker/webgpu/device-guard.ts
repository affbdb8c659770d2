import { NearsightError } from '../../src/protocol/errors.ts';

/** How long to wait, after an error that nobody expected, for the GPU to say that it is at fault: Firefox takes its time. */
const FAULT_REPORT_MS = 1000;

/**
 * Does work that ends at once when the GPU reports an error or is lost: runs that are pending then may never settle, so
 * they are left behind, and neither the model nor this worker's onnxruntime must be used again.
 *
 * @param fault of the GPU that the work is done on, if it is one
 * @param work is given a signal that aborts at a fault as well
 */
export async function withDeviceGuard<T>(
  fault: AbortSignal | undefined,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (!fault) return work(signal);
  fault.throwIfAborted();
  let onFault = (): void => {};
  const faulty = new Promise<never>((_resolve, reject) => {
    onFault = () => reject(fault.reason);
    fault.addEventListener('abort', onFault);
  });
  try {
    const result = await Promise.race([work(AbortSignal.any([signal, fault])), faulty]);
    fault.throwIfAborted();
    return result;
  } catch (error) {
    // A fault often shows first as something else (a failed run, a buffer unmapped, a wrong result of a self-test), and
    // is announced right after. Only what the request itself is to blame for cannot come of it.
    const ownFault = error instanceof NearsightError && error.status < 500;
    if (!ownFault && !signal.aborted && !fault.aborted) {
      await Promise.race([faulty, new Promise((resolve) => setTimeout(resolve, FAULT_REPORT_MS))]);
    }
    throw fault.aborted ? fault.reason : error;
  } finally {
    fault.removeEventListener('abort', onFault);
  }
}
