import { NearsightError } from '../../src/protocol/errors.ts';
import type { HubModel, ModelSpec } from '../../src/protocol/model-spec.ts';
import { type Folders, locked, LOCKS, moveFile } from '../../src/storage/folders.ts';
import { filesOf, type NamedRecord, readRecords, recordName, writeRecord } from '../../src/storage/records.ts';
import { resolveHub } from '../hub/resolve-hub.ts';

/**
 * The spec of a repository on the hub: as recorded when it was first used, without the network, or made now and recorded.
 *
 * @throws NearsightError `integrity` if the hub now has other files under the recorded commit; what `resolveHub` throws
 */
export async function storedHubSpec(
  folders: Folders,
  model: HubModel,
  modelTypes: readonly string[],
  signal: AbortSignal,
): Promise<ModelSpec> {
  const record = await findRecord(folders, model);
  const recorded = record && select(record.record.spec, model.dtype);
  if (recorded) return recorded;
  const pinned = record ? { ...model, revision: record.record.spec.revision } : model;
  const { spec, small } = await resolveHub(pinned, { modelTypes, signal });
  if (record) checkSame(record.record.spec, spec);
  await locked(LOCKS.records, async () => {
    const name = await recordName(spec);
    await writeRecord(folders, { name, record: { format: 1, spec, wanted: [], hashes: 'hub', lastUsed: Date.now() } });
  });
  for (const { path, sha256 } of spec.files) {
    const bytes = small.get(path);
    if (bytes) await locked(LOCKS.file(sha256), () => putFile(folders, sha256, bytes));
  }
  return spec;
}

/** The record of a repository: of the commit that the page asks for, else the one that was used last. */
async function findRecord(folders: Folders, { hub, revision }: HubModel): Promise<NamedRecord | undefined> {
  const isCommit = revision !== undefined && /^[0-9a-f]{40}$/.test(revision);
  const { readable } = await readRecords(folders);
  return readable
    .filter(({ record: { spec } }) => spec.id === hub && (!isCommit || spec.revision === revision))
    .toSorted((a, b) => b.record.lastUsed - a.record.lastUsed)[0];
}

/** The spec with variants of that dtype only; undefined if it has none. */
function select(spec: ModelSpec, dtype: string | undefined): ModelSpec | undefined {
  if (dtype === undefined) return spec;
  const variants = spec.variants.filter((variant) => variant.dtype === dtype);
  return variants.length > 0 ? { ...spec, variants } : undefined;
}

function checkSame(recorded: ModelSpec, current: ModelSpec): void {
  const known = new Map(filesOf(recorded).map(({ path, sha256 }) => [path, sha256]));
  const changed = filesOf(current).find(({ path, sha256 }) => known.has(path) && known.get(path) !== sha256);
  if (!changed) return;
  const { id, revision } = recorded;
  const message = `${changed.path} of ${id} has another hash than before under the same commit ${revision}. It was not used.`;
  throw new NearsightError('integrity', message);
}

async function putFile({ parts, blobs }: Folders, sha256: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const handle = await parts.getFileHandle(sha256, { create: true });
  const access = await handle.createSyncAccessHandle();
  try {
    access.truncate(0);
    access.write(bytes);
    access.flush();
  } finally {
    access.close();
  }
  await moveFile(handle, blobs, sha256);
}
