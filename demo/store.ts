import type { ModelSpec } from 'nearsight';

// The one place that calls the store.
interface StoredModel {
  id: string;
  bytes: number;
}

/** Models that are stored, wholly or partly. */
export async function storedModels(): Promise<readonly StoredModel[]> {
  return [];
}

export async function deleteModel(_id: string): Promise<void> {}

export async function importModel(_spec: ModelSpec, _files: readonly File[]): Promise<void> {
  throw new Error('not yet');
}
