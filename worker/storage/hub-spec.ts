import { NearsightError } from '../../src/protocol/errors.ts';
import type { HubModel, ModelFile, ModelGraph, ModelSpec } from '../../src/protocol/model-spec.ts';
import type { ModelRecord } from '../../src/protocol/stored-model.ts';
import { type Folders, isNamed, locked, LOCKS, moveFile, partName, whenClosed } from '../../src/storage/folders.ts';
import { describe } from '../../src/storage/list.ts';
import {
  changedFile,
  mergeSpecs,
  type NamedRecord,
  readRecord,
  readRecords,
  recordName,
  writeRecord,
} from '../../src/storage/records.ts';
import { HubAddress } from '../hub/hub-address.ts';
import { type ResolvedHub, resolveHub, type ResolveOptions } from '../hub/resolve-hub.ts';
import { quotaError } from './quota.ts';

/**
 * The spec of a repository on the hub: as recorded when it was first used, without the network, or made now and recorded.
 * Its files come from where the page says that the hub is, also if they were recorded elsewhere, or imported.
 *
 * @throws NearsightError `integrity` if the hub now has other files under the recorded commit; `quota_exceeded`; what
 *   `resolveHub` throws
 */
export async function storedHubSpec(
  folders: Folders,
  model: HubModel,
  modelTypes: readonly string[],
  signal: AbortSignal,
): Promise<ModelSpec> {
  const address = new HubAddress(model);
  const found = await findRecord(folders, model);
  const recorded = found && withDtype(found.record.spec, model.dtype);
  if (recorded) return locate(recorded, address);
  // What was only imported must not decide which commit the hub is asked for, or which hashes it may have.
  const verified = found?.record.hashes === 'none' ? undefined : found;
  const pinned = verified ? { ...model, revision: verified.record.spec.revision } : model;
  const { spec, small } = await resolve(pinned, { modelTypes, signal });
  if (verified) checkSame(verified.record.spec, spec);
  try {
    await keepRecord(folders, spec, model.revision ?? MAIN);
    for (const file of spec.files) {
      const bytes = small.get(file.path);
      if (bytes) await locked(LOCKS.file(file.sha256), () => putFile(folders, file, bytes));
    }
  } catch (error) {
    if (!isNamed(error, 'QuotaExceededError')) throw error;
    const missing = [...small.values()].reduce((sum, { length }) => sum + length, 0);
    throw await quotaError(folders, await recordName(spec), missing);
  }
  return locate(withDtype(spec, model.dtype) ?? spec, address);
}

/** What the hub's branch is called that pages get without `revision`. */
const MAIN = 'main';

/** Resolves the variants that any device may choose from, and the one that the page asks for. */
async function resolve(model: HubModel, options: ResolveOptions): Promise<ResolvedHub> {
  const usual = await resolveHub({ ...model, dtype: undefined }, options);
  if (withDtype(usual.spec, model.dtype)) return usual;
  const asked = await resolveHub({ ...model, revision: usual.spec.revision }, options);
  return { spec: mergeSpecs(usual.spec, asked.spec), small: new Map([...usual.small, ...asked.small]) };
}

async function keepRecord(folders: Folders, spec: ModelSpec, requestedAs: string): Promise<void> {
  const name = await recordName(spec);
  await locked(LOCKS.records, async () => {
    const old = await readRecord(folders.models, name);
    // The hub's hashes replace those of an import.
    const trusted = old?.hashes === 'none' ? undefined : old;
    const record: ModelRecord = {
      wanted: [],
      lastUsed: Date.now(),
      ...trusted,
      format: 1,
      spec: trusted ? mergeSpecs(trusted.spec, spec) : spec,
      hashes: 'hub',
      requestedAs: [...new Set([...(trusted?.requestedAs ?? []), requestedAs])],
    };
    await writeRecord(folders, { name, record });
  });
}

/**
 * The record of a repository at a revision. Verified records come before imported ones, complete before incomplete ones, then
 * the last used. Incomplete imports are skipped, so that the hub is asked.
 */
async function findRecord(folders: Folders, { hub, revision = MAIN }: HubModel): Promise<NamedRecord | undefined> {
  const isCommit = /^[0-9a-f]{40}$/.test(revision);
  const { readable } = await readRecords(folders);
  const fitting = readable.filter(({ record: { spec, requestedAs = [MAIN] } }) => {
    return spec.id === hub && (isCommit ? spec.revision === revision : requestedAs.includes(revision));
  });
  const ranked = await Promise.all(
    fitting.map(async (found) => {
      const { complete, unverified } = await describe(folders, found);
      return { found, rank: (unverified ? 0 : 2) + (complete ? 1 : 0) };
    }),
  );
  const usable = ranked.filter(({ rank }) => rank > 0);
  return usable.toSorted((a, b) => b.rank - a.rank || b.found.record.lastUsed - a.found.record.lastUsed)[0]?.found;
}

/** The spec with variants of that dtype only; undefined if it has none. */
function withDtype(spec: ModelSpec, dtype: string | undefined): ModelSpec | undefined {
  if (dtype === undefined) return spec;
  const variants = spec.variants.filter((variant) => variant.dtype === dtype);
  return variants.length > 0 ? { ...spec, variants } : undefined;
}

/** The spec with the addresses of its files on the hub. */
function locate(spec: ModelSpec, address: HubAddress): ModelSpec {
  const at = (file: ModelFile): ModelFile => ({ ...file, url: address.file(spec.revision ?? MAIN, file.path) });
  const graph = ({ file, data }: ModelGraph): ModelGraph => ({ file: at(file), data: data.map(at) });
  const variants = spec.variants.map((variant) => {
    const { vision, embed, decoder } = variant.graphs;
    return { ...variant, graphs: { vision: graph(vision), embed: graph(embed), decoder: graph(decoder) } };
  });
  return { ...spec, files: spec.files.map(at), variants };
}

function checkSame(recorded: ModelSpec, current: ModelSpec): void {
  const changed = changedFile(recorded, current);
  if (!changed) return;
  const { id, revision } = recorded;
  const message = `${changed.path} of ${id} has another hash than before under the same commit ${revision}. It was not used.`;
  throw new NearsightError('integrity', message);
}

async function putFile({ parts, blobs }: Folders, file: ModelFile, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const handle = await parts.getFileHandle(partName(file), { create: true });
  const access = await whenClosed(() => handle.createSyncAccessHandle());
  try {
    access.truncate(0);
    const written = access.write(bytes);
    if (written !== bytes.length) throw new DOMException('The disk took only a part.', 'QuotaExceededError');
    access.flush();
  } finally {
    access.close();
  }
  await moveFile(handle, blobs, file.sha256);
}
