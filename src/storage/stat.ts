import type { ModelFile } from '../protocol/model-spec.ts';
import { findFile, type Folders } from './folders.ts';
import { bytesDone, parseJournal } from './journal.ts';

/** How many bytes of a file are stored. */
export async function statFile({ blobs, parts }: Folders, { sha256, bytes }: ModelFile): Promise<number> {
  const whole = await findFile(blobs, sha256);
  if (whole?.size === bytes) return bytes;
  const part = await findFile(parts, sha256);
  return part ? bytesDone(bytes, parseJournal(bytes, part.size, await part.slice(bytes).text())) : 0;
}
