import { createTarPacker } from 'modern-tar';
import { NearsightError } from '../protocol/errors.ts';
import { findFile, type Folders } from './folders.ts';
import { describe } from './list.ts';
import { withoutURLs } from './read-spec.ts';
import { filesOf, readRecords } from './records.ts';

/** The time of all entries, so that the same model always gives the same archive. */
const EPOCH = new Date(0);

/** A stored model as a tar whose first entry is its spec. Files are read as the stream is. */
export async function exportModel(folders: Folders, id: string): Promise<ReadableStream<Uint8Array>> {
  const { readable } = await readRecords(folders);
  const records = readable.filter(({ record }) => record.spec.id === id);
  const models = await Promise.all(
    records.map(async (found) => ({ ...(await describe(folders, found)), spec: found.record.spec })),
  );
  const model = models
    .filter(({ complete }) => complete)
    .toSorted((a, b) => Number(b.lastUsed) - Number(a.lastUsed))[0];
  if (!model) {
    const why = models.length > 0 ? 'is not stored whole: load it first' : 'is not stored here';
    throw new NearsightError('model_not_found', `${id} ${why}. storage.list() says which models are.`);
  }
  const spec = withoutURLs(model.spec);
  const whole = new Set(model.files.filter((file) => file.bytes === file.storedBytes).map(({ path }) => path));
  const files = filesOf(spec).filter(({ path }) => whole.has(path));
  const text = new TextEncoder().encode(JSON.stringify(spec, undefined, 2));
  const { readable: archive, controller } = createTarPacker();
  const write = async (): Promise<void> => {
    await new Blob([text]).stream().pipeTo(controller.add({ name: 'spec.json', size: text.length, mtime: EPOCH }));
    for (const { path, bytes, sha256 } of files) {
      const blob = await findFile(folders.blobs, sha256);
      if (!blob) throw new NearsightError('model_not_found', `${path} of ${id} was deleted during the export.`);
      await blob.stream().pipeTo(controller.add({ name: path, size: bytes, mtime: EPOCH }));
    }
    controller.finalize();
  };
  write().catch((error: unknown) => controller.error(error));
  return archive;
}
