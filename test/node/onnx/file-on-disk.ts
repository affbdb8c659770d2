import { BlobReader, FileBytes } from '../../../src/bytes/file-bytes.ts';

/** A file whose reads are counted. */
export interface FileOnDisk {
  file: FileBytes;
  /** Where each read began, and how many bytes it gave. */
  reads: { at: number; bytes: number }[];
  /** Makes all later reads fail, as if the file had been deleted. */
  remove(): void;
}

/** A file with these bytes, for FileBytes. (Node has no FileReaderSync, and cannot read a Blob without waiting.) */
export function fileOnDisk(bytes: Uint8Array): FileOnDisk {
  const reads: FileOnDisk['reads'] = [];
  let removed = false;
  const slices = new WeakMap<Blob, { at: number; data: ArrayBuffer }>();
  const blob = {
    size: bytes.length,
    slice(from: number, to: number): Blob {
      const part = {} as Blob;
      slices.set(part, { at: from, data: new Uint8Array(bytes.subarray(from, to)).buffer });
      return part;
    },
  } as Blob;
  const readBlob = (part: Blob): ArrayBuffer => {
    if (removed) throw new DOMException('A requested file could not be found.', 'NotFoundError');
    const { at, data } = slices.get(part)!;
    reads.push({ at, bytes: data.byteLength });
    return data;
  };
  return { file: new FileBytes(new BlobReader(blob, readBlob)), reads, remove: () => void (removed = true) };
}
