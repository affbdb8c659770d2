export { storage, type Storage } from './storage.ts';
export type { ImportOptions, ImportSource } from './import-model.ts';
export type { StoredFile, StoredModel } from '../protocol/stored-model.ts';
