import type { DebugStats, LoadRequest, Verdict } from './calls.ts';
import type { ChatJob } from './job.ts';

/** The name of a thread that hashes files. Nobody needs to notice if it does not start. */
export const HASH_THREAD = 'nearsight-hash';

/**
 * What the worker posts before it starts a thread of onnxruntime's, and once the thread has answered. Not an answer to a
 * call: the worker may hang in between.
 */
export interface ThreadState {
  /** Counts the threads of this worker. */
  thread: number;
  state: 'starting' | 'started';
}

/**
 * What the page can ask of the worker: the whole contract between the two threads. A call is declared here, implemented
 * by `worker/runtime.ts`, and made through `src/host/engine-client.ts`, which adds the same error handling to all.
 *
 * Calls with a `MessagePort` answer over it (see `port.ts`), because streams do not transfer in Safari. The others
 * return plain data.
 */
export interface Runtime {
  /** Resolves when the worker runs: whether it holds the Web Lock of that name until it dies. */
  handshake(lock: string): Promise<boolean>;
  /**
   * Opens the one model of this worker. Sends {@link LoadPart}s up to `ready`, then stays silent for as long as the
   * model can answer, and ends with the error by which it was lost (`device_lost`, `gpu_error`). Cancelling closes it.
   */
  load(request: LoadRequest, port: MessagePort): void;
  /** Answers a job with the loaded model, in turn. Sends {@link Part}s. */
  generate(job: ChatJob, port: MessagePort): void;
  probe(request: LoadRequest): Promise<Verdict>;
  /** Drops what is kept of earlier requests: image features, keys and values. */
  forget(): Promise<void>;
  /** What is alive in the worker, for leak tests and bug reports. */
  debugStats(): Promise<DebugStats>;
}
