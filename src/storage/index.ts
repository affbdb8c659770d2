export { storage, type Storage } from './storage.ts';
export type { ImportOptions } from './import-model.ts';
export type { ImportSource } from './import-source.ts';
export type { StoredFile, StoredModel } from '../protocol/stored-model.ts';
