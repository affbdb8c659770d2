import type { StorageFacts } from '../../src/protocol/calls.ts';
import type { HubModel, ModelFile, ModelSpec } from '../../src/protocol/model-spec.ts';

/** Where the files of models come from, and where they are kept. */
export interface ModelStore {
  /**
   * The spec to load: itself, or that of a repository on the hub, from the record of an earlier load if there is one.
   *
   * @param known values of `model_type` that can be loaded
   */
  specOf(model: ModelSpec | HubModel, known: readonly string[], signal: AbortSignal): Promise<ModelSpec>;
  /** Where the files of a model are kept, and how many bytes of these are stored: the rest is still to be downloaded. */
  stat(spec: ModelSpec, files: readonly ModelFile[]): Promise<{ storage: StorageFacts; storedBytes: number }>;
  /** Starts to use a model: until its files are closed, no tab deletes it. */
  use(spec: ModelSpec, options: UseOptions): Promise<ModelFiles>;
}

/** How a model is used. */
export interface UseOptions {
  /** Whether the page gave the spec, so that its hashes are the page's. */
  isGiven: boolean;
  /** Whether a model may be opened whose hashes come from its own imported files. */
  allowUnverified: boolean;
  signal: AbortSignal;
}

/** The files of a model that is being loaded or is loaded. */
export interface ModelFiles {
  readonly storage: StorageFacts;
  /** Whether a file on the disk turned out to be damaged. It has been deleted, so that another load fetches it again. */
  readonly damaged: boolean;
  /**
   * Says which files this load needs, before it opens the first.
   *
   * @throws NearsightError `quota_exceeded` if those that are missing do not fit
   */
  plan(files: readonly ModelFile[]): Promise<void>;
  /**
   * Gives a file that has exactly the bytes that the spec lists, in memory.
   *
   * @param onBytes called with the number of bytes that have just arrived, from wherever; in all, `file.bytes`
   * @throws NearsightError `load_failed` (network, HTTP status, a `data:` URL that cannot be read, no memory), `integrity`
   *   (size or hash differ), `quota_exceeded`, or the signal's reason
   */
  read(file: ModelFile, onBytes: (count: number) => void, signal: AbortSignal): Promise<Uint8Array>;
  /** As `read`, but a file that is on the disk stays there: the blob's bytes are read when they are used. */
  open(file: ModelFile, onBytes: (count: number) => void, signal: AbortSignal): Promise<Uint8Array | Blob>;
  /**
   * Waits until all files that were opened are verified. Call it also when the load failed: a damaged file may be why.
   *
   * @throws NearsightError `integrity` if one is {@link damaged}
   */
  verify(signal: AbortSignal): Promise<void>;
  /** Deletes older revisions of the model, now that this one works here. */
  supersede(): Promise<void>;
  /** From now on the model may be deleted. */
  close(): void;
}
