import type { ModelFile } from '../protocol/model-spec.ts';
import { findFile, type Folders, isNamed, partName } from './folders.ts';
import { bytesDone, parseJournal } from './journal.ts';

/** How many bytes of a file are stored. */
export async function statFile(folders: Folders, file: ModelFile): Promise<number> {
  try {
    return await storedBytes(folders, file);
  } catch (error) {
    if (!isNamed(error, 'NotReadableError') && !isNamed(error, 'NotFoundError')) throw error;
    // It is being written: Chromium's files cannot be read once they have changed. The next look may come too late as well.
    return storedBytes(folders, file).catch(() => 0);
  }
}

async function storedBytes({ blobs, parts }: Folders, file: ModelFile): Promise<number> {
  const { bytes } = file;
  const whole = await findFile(blobs, file.sha256);
  if (whole?.size === bytes) return bytes;
  const part = await findFile(parts, partName(file));
  return part ? bytesDone(bytes, parseJournal(bytes, part.size, await part.slice(bytes).text())) : 0;
}
