import type { ModelFile, ModelGraph } from '../../../src/protocol/model-spec.ts';
import type { GraphFile } from '../../onnx/model/external-data.ts';
import type { ModelStore } from '../../storage/store.ts';
import type { LoadProgress } from './progress.ts';

/** Reads the files of a model from the store, those that belong together at the same time, and counts their bytes. */
export class ModelReader {
  readonly #store: ModelStore;
  readonly #progress: LoadProgress;

  constructor(store: ModelStore, progress: LoadProgress) {
    this.#store = store;
    this.#progress = progress;
  }

  /** The bytes of files by their paths. */
  files(files: readonly ModelFile[], signal: AbortSignal): Promise<Map<string, Uint8Array>> {
    const read = async (file: ModelFile, until: AbortSignal) => [file.path, await this.#read(file, until)] as const;
    return together(signal, async (until) => new Map(await Promise.all(files.map((file) => read(file, until)))));
  }

  /** A graph with its external data, under the locations that the graph names. */
  graph({ file, data }: ModelGraph, signal: AbortSignal): Promise<GraphFile> {
    const folder = file.path.slice(0, file.path.lastIndexOf('/') + 1);
    const locate = ({ path }: ModelFile): string => (path.startsWith(folder) ? path.slice(folder.length) : path);
    return together(signal, async (until) => {
      const external = data.map(async (each) => ({ path: locate(each), data: await this.#read(each, until) }));
      const [graph, externalData] = await Promise.all([this.#read(file, until), Promise.all(external)]);
      return { graph, externalData };
    });
  }

  #read(file: ModelFile, signal: AbortSignal): Promise<Uint8Array> {
    return this.#store.open(file, (count) => this.#progress.add(count), signal);
  }
}

/** Does work whose reads are all aborted when one of them fails. */
async function together<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const failed = new AbortController();
  try {
    return await work(AbortSignal.any([signal, failed.signal]));
  } catch (error) {
    failed.abort();
    throw error;
  }
}
