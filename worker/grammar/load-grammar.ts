import { importChunk } from '../../src/async/import-chunk.ts';

type GrammarChunk = typeof import('./grammar-chunk.ts');

let chunk: Promise<GrammarChunk> | undefined;

/** The code of constraints is a file of its own, which a page that asks for none never fetches. */
export function loadGrammar(): Promise<GrammarChunk> {
  chunk ??= importChunk<GrammarChunk>('grammar.js', new URL('./grammar-chunk.ts', import.meta.url)).catch((error) => {
    chunk = undefined;
    throw error;
  });
  return chunk;
}
