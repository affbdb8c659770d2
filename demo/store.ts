import type { ModelSpec } from 'nearsight';
import type { StoredModel } from 'nearsight/storage';

// All that the page asks of the store. It is fetched when it is first asked: the list of models is not opened at every visit.
const open = async () => (await import('nearsight/storage')).storage;

/** Models that are stored, wholly or partly. None where nothing can be stored. */
export async function storedModels(): Promise<readonly StoredModel[]> {
  return (await open()).list().catch(() => []);
}

/** Bytes of all stored models, and how many more fit. */
export async function storageUsage(): Promise<{ bytes: number; available?: number }> {
  return (await open()).usage().catch(() => ({ bytes: 0 }));
}

/** @throws NearsightError `storage_unavailable` while another tab has it loaded */
export async function deleteModel(id: string): Promise<void> {
  await (await open()).delete(id);
}

/** @throws NearsightError `integrity` if the files are not those of the model, `quota_exceeded` */
export async function importModel(
  spec: ModelSpec,
  files: readonly File[],
  onProgress: (bytes: number) => void,
): Promise<void> {
  await (await open()).import(files, { spec, onProgress });
}
