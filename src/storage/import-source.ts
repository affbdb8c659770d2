import { createTarDecoder } from 'modern-tar';
import { isSafePath } from '../bytes/safe-path.ts';
import { NearsightError } from '../protocol/errors.ts';

/** What {@link Storage.import} reads: the files of a folder, the folder itself, or a tar, as a stream or a file. */
export type ImportSource = readonly File[] | FileSystemDirectoryHandle | ReadableStream<Uint8Array> | Blob;

/** A file of a source. Of a tar, each must be read, or its stream cancelled, before the next. */
export interface ImportEntry {
  path: string;
  bytes: number;
  stream(): ReadableStream<Uint8Array>;
}

/**
 * The files of a source in its own order, except that `spec.json` comes first where the order is ours.
 *
 * @throws NearsightError `integrity` for a path that leaves its folder
 */
export async function* entriesOf(source: ImportSource): AsyncGenerator<ImportEntry> {
  if (source instanceof ReadableStream) return yield* entriesOfTar(source);
  if (source instanceof Blob) return yield* entriesOfTar(source.stream());
  if (!Array.isArray(source) && !isFolder(source)) {
    const message =
      'storage.import() takes the files of a folder (File[]), a FileSystemDirectoryHandle, or a tar (a Blob or a stream).';
    throw new NearsightError('invalid_request', message);
  }
  const files = isFolder(source) ? await filesIn(source, '') : source.map(pathOf);
  for (const { path, file } of files.toSorted((a, b) => Number(b.path === SPEC) - Number(a.path === SPEC))) {
    yield { path: checkPath(path), bytes: file.size, stream: () => file.stream() };
  }
}

const SPEC = 'spec.json';

function isFolder(source: object): source is FileSystemDirectoryHandle {
  return 'kind' in Object(source);
}

/** Files chosen as a folder have a path that begins with the folder's name. */
function pathOf(file: File): { path: string; file: File } {
  return { path: file.webkitRelativePath.replace(/^[^/]*\//, '') || file.name, file };
}

async function filesIn(folder: FileSystemDirectoryHandle, prefix: string): Promise<{ path: string; file: File }[]> {
  const files: { path: string; file: File }[] = [];
  for await (const [name, handle] of folder.entries()) {
    if (handle.kind === 'file') files.push({ path: prefix + name, file: await handle.getFile() });
    else files.push(...(await filesIn(handle, `${prefix}${name}/`)));
  }
  return files;
}

async function* entriesOfTar(archive: ReadableStream<Uint8Array>): AsyncGenerator<ImportEntry> {
  const reader = archive.pipeThrough(createTarDecoder({ strict: true })).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((cause: unknown) => {
        throw new NearsightError('integrity', `The archive cannot be read as a tar: ${String(cause)}.`, { cause });
      });
      if (done) return;
      const { header, body } = value;
      const path = checkPath(header.name.replace(/\/$/, ''));
      if ((header.type ?? 'file') === 'file') yield { path, bytes: header.size, stream: () => body };
      else await body.cancel();
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/**
 * Refuses paths that could lead out of a model's folder, or that are none.
 *
 * @throws NearsightError `integrity` with the path
 */
export function checkPath(path: string): string {
  const text: unknown = path;
  if (isSafePath(text)) return text;
  throw new NearsightError('integrity', `The path ${JSON.stringify(path.slice(0, 200))} is not one of a model's file.`);
}
