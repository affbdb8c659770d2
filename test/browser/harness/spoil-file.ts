import type { TestPage } from './harness.ts';

/** What happens to a stored file. */
export type Damage = 'flip' | 'truncate' | 'append' | 'delete';

/** Damages a file of the store, by the page, as a broken disk or another script would. */
export function spoilFile(page: TestPage, path: string, how: Damage): Promise<void> {
  return page.evaluate(
    async (path, how) => {
      const { sha256 } = stored.specFiles().find((file) => file.path === path)!;
      const root = await navigator.storage.getDirectory();
      const format = await (await root.getDirectoryHandle('nearsight')).getDirectoryHandle('1');
      const blobs = await format.getDirectoryHandle('blobs');
      if (how === 'delete') return blobs.removeEntry(sha256);
      const handle = await blobs.getFileHandle(sha256);
      const bytes = new Uint8Array(await (await handle.getFile()).arrayBuffer());
      if (how === 'flip') bytes[bytes.length >> 1]! ^= 1;
      const writable = await handle.createWritable();
      await writable.write(how === 'truncate' ? bytes.subarray(0, bytes.length - 5) : bytes);
      if (how === 'append') await writable.write(new Uint8Array(5));
      return writable.close();
    },
    path,
    how,
  );
}
