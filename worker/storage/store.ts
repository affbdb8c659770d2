import type { ModelFile } from '../../src/protocol/model-spec.ts';

/** Where the files of models come from. Files are identified by their sha256. */
export interface ModelStore {
  /**
   * Gives a file that has exactly the bytes that the spec lists.
   *
   * @param onBytes called with the number of bytes that have just arrived, from wherever; in all, `file.bytes`
   * @throws NearsightError `load_failed` (network, HTTP status, a `data:` URL that cannot be read, no memory), `integrity`
   *   (size or hash differ), or the signal's reason
   */
  open(file: ModelFile, onBytes: (count: number) => void, signal: AbortSignal): Promise<Uint8Array>;
}
