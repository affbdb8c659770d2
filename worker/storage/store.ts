import type { HubModel, ModelFile, ModelSpec } from '../../src/protocol/model-spec.ts';

/** Where the files of models come from, and where they are kept. */
export interface ModelStore {
  /** Why models are not kept on the disk; undefined if they are. */
  readonly memoryOnly: string | undefined;
  /**
   * The spec to load: itself, or that of a repository on the hub, from the record of an earlier load if there is one.
   *
   * @param known values of `model_type` that can be loaded
   */
  specOf(model: ModelSpec | HubModel, known: readonly string[], signal: AbortSignal): Promise<ModelSpec>;
  /** How many bytes of a file are stored, from 0 to `file.bytes`: the rest is still to be downloaded. */
  stat(file: ModelFile): Promise<number>;
  /** Starts to use a model: until its files are closed, no tab deletes it. */
  use(spec: ModelSpec, options: UseOptions): Promise<ModelFiles>;
}

/** How a model is used. */
export interface UseOptions {
  /** Whether a model may be opened whose hashes come from its own imported files. */
  allowUnverified: boolean;
  signal: AbortSignal;
}

/** The files of a model that is being loaded or is loaded. */
export interface ModelFiles {
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
  /** As `read`, but where the file is on the disk, its bytes are read from there when they are used. */
  open(file: ModelFile, onBytes: (count: number) => void, signal: AbortSignal): Promise<Uint8Array>;
  /**
   * Waits until all files that were opened are verified.
   *
   * @throws NearsightError `integrity` if one differs from its hash: it has been deleted, so that another load fetches it again
   */
  verify(signal: AbortSignal): Promise<void>;
  /** From now on the model may be deleted. */
  close(): void;
}
