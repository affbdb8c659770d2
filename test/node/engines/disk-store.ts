import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ModelFile } from '../../../src/protocol/model-spec.ts';
import { httpStore } from '../../../worker/storage/http-store.ts';
import type { ModelStore } from '../../../worker/storage/store.ts';

/** The bytes of a file of glimpse. */
export const bytesOf = ({ url }: ModelFile): Buffer => readFileSync(fileURLToPath(String(url)));

/** A store that opens files in its own way. */
export const storeWith = (open: ModelStore['open']): ModelStore => ({ ...httpStore, open });

/** Reads the files where they are in this repository, and counts no bytes. */
export const diskStore = storeWith(async (file) => bytesOf(file));
