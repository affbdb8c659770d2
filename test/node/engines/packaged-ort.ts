import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { mended } from '../../../tools/build/files-beside.mjs';

/** URL of a folder with onnxruntime-web's files as the package has them, so that tests need no build. */
export function packagedOrt(): string {
  const root = fileURLToPath(new URL('../../../', import.meta.url));
  const dist = join(root, 'node_modules/onnxruntime-web/dist');
  const names = readdirSync(dist);
  const scripts = names
    .filter((name) => /^ort(-wasm-.*|\.(webgpu|jspi)\.min)\.mjs$/.test(name))
    .map((name) => [name, mended(name, readFileSync(join(dist, name), 'utf8'))] as const);
  const hash = createHash('sha256').update(scripts.join()).digest('hex').slice(0, 16);
  const folder = join(root, '.cache', `ort-${hash}`);
  if (!existsSync(folder)) {
    // Renamed once it is complete: test files run in several processes.
    const unfinished = `${folder}.${process.pid}`;
    mkdirSync(unfinished, { recursive: true });
    for (const [name, script] of scripts) writeFileSync(join(unfinished, name), script);
    const others = names.filter((name) => !scripts.some(([script]) => script === name));
    for (const name of others) symlinkSync(join(dist, name), join(unfinished, name));
    try {
      renameSync(unfinished, folder);
    } catch {
      // Another process was faster.
      rmSync(unfinished, { recursive: true });
    }
  }
  return `${pathToFileURL(folder).href}/`;
}
