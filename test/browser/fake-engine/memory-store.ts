import type { ModelSpec } from '../../../src/protocol/model-spec.ts';
import { DownloadedFiles } from '../../../worker/storage/downloaded-files.ts';
import type { ModelStore } from '../../../worker/storage/store.ts';

const REASON = 'this store keeps nothing';

/** Keeps nothing. */
export const memoryStore: ModelStore = {
  specOf: async (model) => model as ModelSpec,
  stat: async () => ({ storage: { kind: 'memory', reason: REASON }, storedBytes: 0 }),
  use: async () => new DownloadedFiles(REASON),
};
