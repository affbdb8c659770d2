import { NearsightError } from '../protocol/errors.ts';

/**
 * The store's folders in this origin's private file system, below `nearsight/1`. A later format has a folder of its own
 * beside `1`, so that two versions of this library do not touch each other's models.
 */
export interface Folders {
  /** Whole files, each named by its sha256, so that models share them. */
  blobs: FileSystemDirectoryHandle;
  /** Files that are being downloaded or imported: the sha256 that each will have, and a suffix. */
  parts: FileSystemDirectoryHandle;
  /** A record for each model. */
  models: FileSystemDirectoryHandle;
}

/**
 * Names of Web Locks. To avoid deadlocks, code that holds several takes them in this order: model, file, records.
 *
 * - `model` is held shared by workers that load a model or have it loaded, and exclusively while it is deleted.
 * - `file` is held while a file is downloaded or imported.
 * - `records` is held for moments: while records are written, and while files that no record names are deleted.
 */
export const LOCKS = {
  model: (name: string) => `nearsight/1/models/${name}`,
  file: (sha256: string) => `nearsight/1/blobs/${sha256}`,
  records: 'nearsight/1/records',
};

/** Runs `work` with a lock. */
export function locked<T>(name: string, work: () => Promise<T>, options: LockOptions = {}): Promise<T> {
  // Its declared type has no overload that passes the callback's type on together with options.
  return navigator.locks.request(name, options, work);
}

/**
 * Opens the folders; makes them where they are missing.
 *
 * @throws NearsightError `storage_unavailable` where the browser has no private file system or no locks, or denies them
 */
export async function openFolders(): Promise<Folders> {
  try {
    // Denied together with storage where the visitor blocks site data.
    await locked(LOCKS.records, async () => {});
    const root = await navigator.storage.getDirectory();
    const format = await openFolder(await openFolder(root, 'nearsight'), '1');
    const [blobs, parts, models] = await Promise.all([
      openFolder(format, 'blobs'),
      openFolder(format, 'parts'),
      openFolder(format, 'models'),
    ]);
    return { blobs, parts, models };
  } catch (cause) {
    const message = `This browser, or this page, cannot store models: ${String(cause)}. A private window or a setting that blocks site data may be the reason.`;
    throw new NearsightError('storage_unavailable', message, { cause });
  }
}

function openFolder(parent: FileSystemDirectoryHandle, name: string): Promise<FileSystemDirectoryHandle> {
  return parent.getDirectoryHandle(name, { create: true });
}

/**
 * The name of a file while it is downloaded. With its length, so that a spec with a wrong one cannot spoil the download of
 * another model.
 */
export function partName({ sha256, bytes }: { sha256: string; bytes: number }): string {
  return `${sha256}.${bytes}`;
}

/** The file of that name; undefined if there is none. */
export async function findFile(folder: FileSystemDirectoryHandle, name: string): Promise<File | undefined> {
  try {
    return await (await folder.getFileHandle(name)).getFile();
  } catch (error) {
    if (isNamed(error, 'NotFoundError')) return undefined;
    throw error;
  }
}

/** How long a file may stay open after the worker that had it open was ended. */
const CLOSE_MS = 5000;

/**
 * Runs what fails as long as a file is open elsewhere: until it works, for some seconds at most. Browsers release the locks
 * of a worker that was ended some time before they close its files.
 */
export async function whenClosed<T>(work: () => Promise<T>): Promise<T> {
  const end = performance.now() + CLOSE_MS;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      // Safari's name for it is the other one.
      const isOpen = isNamed(error, 'NoModificationAllowedError') || isNamed(error, 'InvalidStateError');
      if (!isOpen || performance.now() > end) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Deletes a file, if it is there. */
export async function removeFile(folder: FileSystemDirectoryHandle, name: string): Promise<void> {
  await whenClosed(() => folder.removeEntry(name)).catch((error: unknown) => {
    if (!isNamed(error, 'NotFoundError')) throw error;
  });
}

/** Gives a closed file its final place, where it replaces another. */
export function moveFile(file: FileSystemFileHandle, folder: FileSystemDirectoryHandle, name: string): Promise<void> {
  // Not in the compiler's declarations yet.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const movable = file as FileSystemFileHandle & { move(to: FileSystemDirectoryHandle, as: string): Promise<void> };
  return whenClosed(() => movable.move(folder, name));
}

/** Whether it is a DOMException of that name, of any window. */
export function isNamed(error: unknown, name: string): boolean {
  return error instanceof Error && error.name === name;
}
