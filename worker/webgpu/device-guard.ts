import { race } from '../../src/async/race.ts';
import { isNearsightError } from '../../src/protocol/errors.ts';

/** How long to wait, after an unexpected error, for the GPU to report a fault. Firefox reports late. */
const FAULT_REPORT_MS = 1000;

/**
 * Runs work that rejects at once when the GPU reports an error or is lost. Pending runs may never settle then, so they
 * are not awaited, and neither the model nor this worker's onnxruntime may be used again.
 *
 * @param fault of the GPU that the work runs on; undefined: it runs on the CPU
 * @param work gets a signal that also aborts at a fault
 */
export async function withDeviceGuard<T>(
  fault: AbortSignal | undefined,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (!fault) return work(signal);
  fault.throwIfAborted();
  try {
    return await race(work(AbortSignal.any([signal, fault])), fault);
  } catch (error) {
    // A fault often causes another error first (a failed run, an unmapped buffer, a wrong result of a self-test), and is
    // reported right after. Only errors of the request itself are never caused by a fault.
    const requestError = isNearsightError(error) && error.status < 500;
    if (requestError || signal.aborted) throw fault.aborted ? fault.reason : error;
    await race(new Promise((resolve) => setTimeout(resolve, FAULT_REPORT_MS)), fault);
    throw error;
  }
}
