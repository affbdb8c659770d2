import type { ModelSpec } from './model-spec.ts';

/** What the store keeps about a model: the content of its file in the folder `models`. */
export interface ModelRecord {
  format: 1;
  /** With absolute URLs. */
  spec: ModelSpec;
  /** Paths of the files that a load needs: the configs and those of one variant. */
  wanted: readonly string[];
  /**
   * Where the hashes come from: `spec`, the page's; `hub`, the repository's at first use; `none`, from the imported files
   * themselves, so that they prove nothing but later changes.
   */
  hashes: 'spec' | 'hub' | 'none';
  /** Of a repository on the hub: the branches, tags and commits as which pages asked for this commit. */
  requestedAs?: readonly string[] | undefined;
  /** The folder of the worker that opened it last. Another one may be another version of an application. */
  owner?: string | undefined;
  /** When it was last opened, in milliseconds since 1970. */
  lastUsed: number;
}

/** A model in this origin's storage. */
export interface StoredModel {
  id: string;
  /** The commit, or for a spec without one, 40 hex digits that its hashes give. */
  revision: string;
  files: readonly StoredFile[];
  /** Bytes that are stored, parts of files included. */
  bytes: number;
  /** Bytes of all its files. */
  totalBytes: number;
  /** When it was last opened. */
  lastUsed: Date;
  /** Whether a load downloads nothing. */
  complete: boolean;
  /** Whether its hashes come from the imported files themselves: see `load({ allowUnverified: true })`. */
  unverified: boolean;
}

/** A file of a {@link StoredModel}. */
export interface StoredFile {
  path: string;
  bytes: number;
  /** How many of them are stored. */
  storedBytes: number;
}
