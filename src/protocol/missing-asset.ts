import { NearsightError } from './errors.ts';

/**
 * The error for a file of the package that was not found, or is not what it should be. Says both ways to put it right.
 *
 * @param file what is missing: `worker.js`
 * @param address where it was looked for; undefined if only the bundler knows
 * @param why what happened there
 */
export function missingAsset(file: string, address: string | undefined, why: string, cause?: unknown): NearsightError {
  const message =
    `${file} could not be loaded from ${address ?? 'the place that the bundler gave it'}: ${why.replace(/\.$/, '')}. ` +
    `Either run \`npx nearsight assets public/nearsight\` (with --glimpse for that model) and pass assets: '/nearsight/' ` +
    `to createNearsight; or, without assets, use a bundler that copies files named by new URL() with import.meta.url. ` +
    `In the development server of Vite before 8, that takes optimizeDeps: { exclude: ['nearsight'] }.`;
  return new NearsightError('load_failed', message, { cause });
}
