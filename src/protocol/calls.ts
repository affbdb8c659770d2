import type { ChatJob } from './job.ts';
import type { Device, ModelSpec } from './model-spec.ts';

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

export interface LoadRequest {
  spec: ModelSpec;
  device: Device | 'auto';
  assets: {
    /**
     * The absolute URL of the folder that holds `ort-wasm-simd-threaded*.{mjs,wasm}`, with a final `/`. Default: beside
     * the worker.
     */
    ort?: string | undefined;
  };
  /** How many threads wasm may use; absent: as many as suit the machine. */
  threads?: number | undefined;
  /** How many jobs may wait for their turn before one is refused with `queue_full`. */
  waiting: number;
}

export type LoadPart = LoadState | { state: 'ready'; facts: ModelFacts };

/** How far a load has got. */
export type LoadState =
  /**
   * Fetching and checking files: bytes so far, of all that this device needs. They reach the total only when the model
   * has passed its self-test: until then, another variant may have to be fetched.
   */
  | { state: 'downloading'; loadedBytes: number; totalBytes: number }
  /** Opening files and compiling shaders, while the next file is downloaded: `done` of `of` steps. */
  | { state: 'preparing'; done: number; of: number };

/** What was opened, and on what. */
export interface ModelFacts {
  model: string;
  device: Device;
  dtype: string;
  contextLength: number;
  /** The adapter's own description (`vendor architecture description`), or the number of wasm threads. */
  hardware: string;
  /** Why this device and dtype: one sentence, with what was tried before and failed. */
  reason: string;
}

/** What `probe()` returns: whether this browser can run the model. */
export interface Verdict {
  /** `yes`, `slow` (software GPU or wasm on request: it runs, but not at reading speed), or `no`. */
  verdict: 'yes' | 'slow' | 'no';
  device?: Device | undefined;
  dtype?: string | undefined;
  /** Bytes to download if nothing is stored yet. */
  bytes?: number | undefined;
  /** One sentence: the limit or the missing feature that decided. */
  reason: string;
}

/** What is alive in the worker. */
export interface DebugStats {
  gpuBuffers: number;
  /** Open message ports: one for the loaded model, one for each answer. */
  ports: number;
  /** Requests that wait for their turn. */
  waiting: number;
  /** The id of the loaded model. */
  loaded: string | null;
}
