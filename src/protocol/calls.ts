// What calls of the worker take and give. Public declarations reach this file, so it needs no newer TypeScript than 5.2.
import type { Device, HubModel, ModelLicence, ModelSpec } from './model-spec.ts';

export interface LoadRequest {
  /** A spec with absolute URLs, or a repository whose spec the worker makes. */
  model: ModelSpec | HubModel;
  /** Whether a stored model may be opened whose hashes come from its own imported files. */
  allowUnverified: boolean;
  device: Device | 'auto';
  assets: {
    /** The absolute URL of the folder with the files of onnxruntime-web, with a final `/`. Default: beside the worker. */
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
  | {
      state: 'downloading';
      loadedBytes: number;
      totalBytes: number;
      /** Over the last seconds; absent at first. */
      bytesPerSecond?: number | undefined;
      secondsLeft?: number | undefined;
    }
  /** Opening files and compiling shaders, while the next file is downloaded: `done` of `of` steps. */
  | { state: 'preparing'; done: number; of: number };

/** What was opened, and on what. */
export interface ModelFacts {
  model: string;
  /** What runs it: `onnx`, or `transformers` for families that only transformers.js knows. */
  engine: string;
  device: Device;
  dtype: string;
  contextLength: number;
  /** The adapter's own description (`vendor architecture description`), or the number of wasm threads. */
  hardware: string;
  /**
   * Why this device and dtype: one sentence, with what was tried before and failed. For a repository on the hub also what was
   * found there, and which engine runs it.
   */
  reason: string;
  storage: StorageFacts;
  /** The terms under which the model is published; absent if its spec does not name any. */
  licence?: ModelLicence | undefined;
}

/** Where the files of a model are kept. */
export interface StorageFacts {
  /** `memory`: they are fetched again at the next load, unless the browser has them in its cache. */
  kind: 'disk' | 'memory';
  /** Why they are not kept on the disk. */
  reason?: string | undefined;
}

/** What `probe()` returns: whether this browser can run the model. */
export interface Verdict {
  /** `yes`, `slow` (software GPU or wasm on request: it runs, but not at reading speed), or `no`. */
  verdict: 'yes' | 'slow' | 'no';
  device?: Device | undefined;
  dtype?: string | undefined;
  /** Bytes of its files: to download if nothing is stored yet, and the space that they take on the disk. */
  bytes?: number | undefined;
  /** How many of them are stored. */
  storedBytes?: number | undefined;
  storage?: StorageFacts | undefined;
  /** The terms under which the model is published, so that a page can show them before a download. */
  licence?: ModelLicence | undefined;
  /** Whether the visitor asked the browser to save data (`navigator.connection.saveData`); absent where it does not say. */
  saveData?: boolean | undefined;
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
