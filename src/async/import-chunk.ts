import { missingAsset } from '../protocol/missing-asset.ts';

/**
 * Imports a script of the package that lies beside the worker's. Hidden from bundlers as code, because most cannot split a
 * worker: they find and copy the file by the caller's `new URL('…', import.meta.url)`.
 *
 * @param file its name in the package, for the error
 * @throws NearsightError `load_failed`
 */
export async function importChunk<T>(file: string, { href }: URL): Promise<T> {
  try {
    const chunk: T = await import(/* @vite-ignore */ /* webpackIgnore: true */ href);
    return chunk;
  } catch (cause) {
    throw missingAsset(file, href, String(cause), cause);
  }
}
