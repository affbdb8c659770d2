import { importChunk } from '../../../src/async/import-chunk.ts';

type TransformersChunk = typeof import('./transformers-chunk.ts');

let chunk: Promise<TransformersChunk> | undefined;

/** transformers.js is a file of its own, which a page fetches only with a model that needs it. */
export function loadTransformers(): Promise<TransformersChunk> {
  const url = new URL('./transformers-chunk.ts', import.meta.url);
  chunk ??= importChunk<TransformersChunk>('transformers.js', url).catch((error: unknown) => {
    chunk = undefined;
    throw error;
  });
  return chunk;
}
