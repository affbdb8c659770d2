import { readFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';

/** `new URL('…', import.meta.url)`, as bundlers recognise it. */
const expression = /new URL\(\s*'(\.[^']+)',\s*import\.meta\.url,?\s*\)/g;

/** Stands in for `import.meta.url` until the chunk is written, at the same length, so that source maps stay true. */
const placeholder = '__IMPORT_META__';

/** ONNX Runtime's scripts name source maps that do not come along, which development servers complain about. */
const lostMap = /\n\/\/# sourceMappingURL=\S+\s*$/;

/**
 * A timer keeps the event loop of a thread awake until it computes. Without one, in Firefox 153, the thread's answer to its
 * first message stays unsent while the worker that started it downloads (docs/browsers.md).
 */
const startOfThread = 'isPthread&&ortWasmThreaded();';
const startAwake = 'isPthread&&(setInterval(()=>{},100),ortWasmThreaded());';

/**
 * The end of a glue script's function that makes the Emscripten module. Its argument becomes the module, and is left where
 * the worker finds it, because there is more in it than ONNX Runtime's API offers.
 */
const endOfGlue = ';return moduleRtn}export default';
const endThatKeeps =
  ';(globalThis.nearsightOrtModules??={})[import.meta.url]=moduleArg;return moduleRtn}export default';

/**
 * Where ONNX Runtime's script passes the options of its GPU side on. Its API has no name for one of them: how many dispatches
 * make a submission, those of a replayed step as well (docs/decisions.md).
 */
const gpuOptions = 'te(a,"validationMode",l.validationMode,r);';
const withDispatches = `${gpuOptions}te(a,"maxNumPendingDispatches","48",r);`;

/**
 * A script of ONNX Runtime as the package has it.
 *
 * @param {string} name
 * @param {string} script
 */
export function mended(name, script) {
  const mapless = script.replace(lostMap, '\n');
  if (/^ort\.(webgpu|jspi)\./.test(name)) return exchange(mapless, gpuOptions, withDispatches);
  if (!name.startsWith('ort-wasm-')) return mapless;
  const keeping = exchange(mapless, endOfGlue, endThatKeeps);
  return name === 'ort-wasm-simd-threaded.mjs' ? exchange(keeping, startOfThread, startAwake) : keeping;
}

/**
 * @param {string} script
 * @param {string} from
 * @param {string} to
 */
function exchange(script, from, to) {
  if (script.split(from).length !== 2) throw new Error(`ONNX Runtime's script no longer has one ${from}`);
  return script.replace(from, () => to);
}

/**
 * Scripts of the package that are built apart, and named by their URLs.
 *
 * @type {Record<string, string>}
 */
export const scripts = {
  'worker/index.ts': 'worker.js',
  'worker/storage/store-chunk.ts': 'store.js',
  'worker/grammar/grammar-chunk.ts': 'grammar.js',
  'worker/onnx/optimize/group-queries.ts': 'group-queries.js',
  'worker/onnx/optimize/wasm-passes.ts': 'wasm-passes.js',
  'worker/engines/transformers/transformers-chunk.ts': 'transformers.js',
};

/** transformers.js imports onnxruntime by these names. It gets the one that the worker has loaded. */
const ortFacade = resolve('worker/engines/transformers/ort-facade.ts');
export const alias = { 'onnxruntime-web/webgpu': ortFacade, 'onnxruntime-common': ortFacade };

/**
 * Where a file that the source names is in the package. ONNX Runtime's have a folder of their own, which the option
 * `assets` copies and names; a model's are as on the hub.
 *
 * @param {string} path from the repository's root
 */
function placeOf(path) {
  return scripts[path] ?? /^models\/(.+)$/.exec(path)?.[1] ?? `ort/${basename(path)}`;
}

/**
 * Copies the files that modules name by `new URL('…', import.meta.url)` into the package, and leaves each expression as
 * it was, with a literal path: every bundler that can find files knows this form and no other.
 *
 * @returns {import('rolldown').Plugin}
 */
export function filesBeside() {
  return {
    name: 'files-beside',
    transform(code, id) {
      if (!code.includes('import.meta.url')) return null;
      const replaced = code.replace(expression, (found, /** @type {string} */ url) => {
        const file = join(dirname(id), url);
        const place = placeOf(relative('.', file));
        if (!Object.values(scripts).includes(place)) {
          const content = readFileSync(file);
          const source = file.endsWith('.mjs') ? mended(basename(file), content.toString()) : content;
          this.emitFile({ type: 'asset', fileName: place, originalFileName: file, source });
        }
        return `new URL('./${place}', ${placeholder})`.padEnd(found.length);
      });
      return { code: replaced, map: null };
    },
    renderChunk: (code) => ({ code: code.replaceAll(placeholder, 'import.meta.url'), map: null }),
  };
}
