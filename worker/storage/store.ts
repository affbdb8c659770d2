import type { ModelFile, ModelSpec } from '../../src/protocol/model-spec.ts';

/** What is stored of a model. */
export interface StoredModel {
  id: string;
  /** Bytes of it that are stored; those of a file that is not complete count as well. */
  bytes: number;
  /** Whether a load would download nothing. */
  complete: boolean;
}

/** Where the files of models come from, and where they are kept. Files are identified by their sha256. */
export interface ModelStore {
  /**
   * Gives a file that has exactly the bytes that the spec lists, from the disk or from its `url`. A store that keeps
   * files checks the quota first, continues a download that broke off, and lists a file only after its hash matched.
   *
   * @param onBytes called with the number of bytes that have just arrived, from wherever; in all, `file.bytes`
   * @throws NearsightError `load_failed` (network, HTTP status, a `data:` URL that cannot be read, no memory), `integrity`
   *   (size or hash differ), or the signal's reason
   */
  open(file: ModelFile, onBytes: (count: number) => void, signal: AbortSignal): Promise<Uint8Array>;
  /** How many bytes of a file are stored, from 0 to `file.bytes`: the rest is still to be downloaded. */
  stat(file: ModelFile): Promise<number>;
  /** The models of which anything is stored. */
  list(): Promise<readonly StoredModel[]>;
  /** Deletes a model's files, except those that another stored model has as well. Does nothing if it is not stored. */
  delete(id: string): Promise<void>;
  /**
   * Stores a model from an archive that {@link export} made, without a download.
   *
   * @returns the model's spec, which is the archive's first entry
   * @throws NearsightError `integrity` if a file differs from the spec, `storage_unavailable` if nothing can be stored here
   */
  import(archive: ReadableStream<Uint8Array>, signal: AbortSignal): Promise<ModelSpec>;
  /**
   * Writes a stored model to an archive: a tar whose first entry is the spec.
   *
   * @throws NearsightError `model_not_found` if it is not stored whole, `storage_unavailable` if nothing is stored here
   */
  export(id: string): Promise<ReadableStream<Uint8Array>>;
}
