import { importChunk } from '../../../src/async/import-chunk.ts';

type GroupQueries = typeof import('./group-queries.ts');

/** The pass is a file of its own, which a page fetches for the few exports that need it. */
export function loadGroupQueries(): Promise<GroupQueries> {
  return importChunk<GroupQueries>('group-queries.js', new URL('./group-queries.ts', import.meta.url));
}
