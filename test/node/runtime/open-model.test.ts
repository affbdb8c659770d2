import { expect, test } from 'vitest';
import { openModel } from '../../../worker/open-model.ts';
import { DownloadedFiles } from '../../../worker/storage/downloaded-files.ts';
import { fakeEngine, fakeModel } from '../../browser/fake-engine/fake-engine.ts';
import { memoryStore } from '../../browser/fake-engine/memory-store.ts';

test('a model that works stays open if an older revision of it cannot be deleted', async () => {
  const log: string[] = [];
  class Files extends DownloadedFiles {
    override async verify(): Promise<void> {
      log.push('verified');
    }
    override async supersede(): Promise<void> {
      log.push('supersede');
      throw new DOMException('locked', 'NoModificationAllowedError');
    }
    override close(): void {
      log.push('files closed');
    }
  }
  const open: typeof fakeEngine.open = async (...args) => ({
    ...(await fakeEngine.open(...args)),
    close: async () => void log.push('engine closed'),
  });
  const { facts } = await openModel(
    { ...memoryStore, use: async () => new Files('this is a test') },
    [{ ...fakeEngine, open }],
    { model: fakeModel, allowUnverified: false, device: 'wasm', assets: {}, waiting: 4 },
    { signal: new AbortController().signal, emit: () => {} },
  );
  expect(facts.model).toBe('fake');
  expect(log).toEqual(['verified', 'supersede']);
});
