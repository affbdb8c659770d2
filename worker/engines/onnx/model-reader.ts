import type { ModelFile, ModelGraph } from '../../../src/protocol/model-spec.ts';
import type { GraphFile } from '../../onnx/model/external-data.ts';

/** Reads one of a model's files. */
export type ReadFile = (file: ModelFile, signal: AbortSignal) => Promise<Uint8Array>;

/** The bytes of files by their paths. They are read at the same time; when one read fails, the others are aborted. */
export async function readFiles(
  files: readonly ModelFile[],
  read: ReadFile,
  signal: AbortSignal,
): Promise<Map<string, Uint8Array>> {
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
