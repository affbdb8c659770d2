import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ModelFile } from '../../../src/protocol/model-spec.ts';
import { DownloadedFiles } from '../../../worker/storage/downloaded-files.ts';
import type { ModelFiles } from '../../../worker/storage/store.ts';

/** The bytes of a file of glimpse. */
export const bytesOf = ({ url }: ModelFile): Buffer => readFileSync(fileURLToPath(String(url)));

/** Files that are read in their own way. */
export function filesWith(read: ModelFiles['read']): ModelFiles {
  return Object.assign(new DownloadedFiles('these are a test'), { read, open: read });
}

/** The files where they are in this repository. No bytes are counted. */
export const diskFiles = filesWith(async (file) => bytesOf(file));
