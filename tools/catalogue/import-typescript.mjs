import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const root = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Imports a module of the library from its source: Node 20 reads no TypeScript.
 *
 * @param {string} path from the repository's root
 * @returns {Promise<any>}
 */
export async function importTypeScript(path) {
  const bundle = await rolldown({ input: path, cwd: root, platform: 'neutral' });
  const { output } = await bundle.generate({ format: 'esm', codeSplitting: false });
  await bundle.close();
  return import(`data:text/javascript;base64,${Buffer.from(output[0].code).toString('base64')}`);
}
