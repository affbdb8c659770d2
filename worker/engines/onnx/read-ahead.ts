import type { ModelFile } from '../../../src/protocol/model-spec.ts';

/**
 * Reads files one after the other, each while the one before it is being used: the next is asked for as soon as one is
 * handed out. So the network is busy while sessions are created, and two files at most are in memory.
 *
 * @returns gives the files in order
 */
export function readAhead<Name>(
  names: readonly Name[],
  read: (name: Name) => Promise<Uint8Array>,
): () => Promise<Uint8Array> {
  const rest = [...names];
  const start = (): Promise<Uint8Array> | undefined => {
    const name = rest.shift();
    const file = name === undefined ? undefined : read(name);
    // Reported when it is asked for.
    file?.catch(() => {});
    return file;
  };
  let next = start();
  return async () => {
    const file = await next;
    if (!file) throw new Error('There are no more files.');
    next = start();
    return file;
  };
}

/** Reads files at the same time, by their paths. When one fails, the others are given up. */
export async function readTogether(
  files: readonly ModelFile[],
  read: (file: ModelFile, signal: AbortSignal) => Promise<Uint8Array>,
  signal: AbortSignal,
): Promise<Map<string, Uint8Array>> {
  const failed = new AbortController();
  const until = AbortSignal.any([signal, failed.signal]);
  try {
    return new Map(await Promise.all(files.map(async (file) => [file.path, await read(file, until)] as const)));
  } catch (error) {
    failed.abort();
    throw error;
  }
}
