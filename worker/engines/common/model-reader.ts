import { bytesIn, type ByteSource } from '../../../src/bytes/file-bytes.ts';
import type { ModelFile, ModelGraph } from '../../../src/protocol/model-spec.ts';
import type { GraphFile } from '../../onnx/model/external-data.ts';

/** Opens one of a model's files: downloads it if it is not stored. */
export type ReadFile = (file: ModelFile, signal: AbortSignal) => Promise<ByteSource>;

/** The bytes of small files by their paths, all in memory. */
export async function readConfigs(
  files: readonly ModelFile[],
  read: ReadFile,
  signal: AbortSignal,
): Promise<Map<string, Uint8Array>> {
  const opened = await readFiles(files, read, signal);
  return new Map([...opened].map(([path, bytes]) => [path, bytesIn(bytes)]));
}

/** The bytes of files by their paths. They are opened at the same time; when one fails, the others are aborted. */
async function readFiles(
  files: readonly ModelFile[],
  read: ReadFile,
  signal: AbortSignal,
): Promise<Map<string, ByteSource>> {
  const failed = new AbortController();
  const until = AbortSignal.any([signal, failed.signal]);
  try {
    const entries = files.map(async (file) => [file.path, await read(file, until)] as const);
    return new Map(await Promise.all(entries));
  } catch (error) {
    failed.abort();
    throw error;
  }
}

/** A graph with its external data, under the locations that the graph names. */
export async function readGraph({ file, data }: ModelGraph, read: ReadFile, signal: AbortSignal): Promise<GraphFile> {
  const bytes = await readFiles([file, ...data], read, signal);
  const folder = file.path.slice(0, file.path.lastIndexOf('/') + 1);
  const locate = (path: string): string => (path.startsWith(folder) ? path.slice(folder.length) : path);
  const externalData = data.map(({ path }) => ({ path: locate(path), data: bytes.get(path)! }));
  return { graph: bytes.get(file.path)!, externalData };
}
