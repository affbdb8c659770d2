import { NearsightError } from '../../src/protocol/errors.ts';
import type { StoredModel } from '../../src/protocol/stored-model.ts';
import type { Folders } from '../../src/storage/folders.ts';
import { listModels } from '../../src/storage/list.ts';

/**
 * Checks before a download that there is space for it.
 *
 * @throws NearsightError `quota_exceeded`
 */
export async function checkQuota(folders: Folders, name: string, missing: number): Promise<void> {
  const { quota, usage } = await navigator.storage.estimate();
  if (quota === undefined || usage === undefined || missing <= quota - usage) return;
  throw await quotaError(folders, name, missing, quota - usage);
}

/**
 * Says how much space is missing, and what could be evicted.
 *
 * @param name of the record of the model that needs it
 */
export async function quotaError(
  folders: Folders,
  name: string,
  missing: number,
  free?: number,
): Promise<NearsightError> {
  const [id = '', revision] = name.split('@');
  const isOther = (model: StoredModel): boolean => encodeURIComponent(model.id) !== id || model.revision !== revision;
  const others = (await listModels(folders)).filter((model) => isOther(model) && model.bytes > 0);
  const names = others.map((model) => `${model.id} (${inMegabytes(model.bytes)})`).join(', ');
  const space = free === undefined ? "the disk, or this site's share of it, is full" : `${inMegabytes(free)} are free`;
  const cure = names
    ? `Models that could be evicted with storage.evict({ toFree }) or deleted: ${names}.`
    : 'No other model is stored here: free space on the disk.';
  const message = `${decodeURIComponent(id)} needs ${inMegabytes(missing)} more on the disk, and ${space}. ${cure}`;
  return new NearsightError('quota_exceeded', message);
}

function inMegabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
