import { defaultClientConditions, defineConfig, type Plugin } from 'vite';

/**
 * The package: ordinary builds, not library mode, which would inline the wasm into the worker as absolute URLs. With a
 * relative base and nothing inlined, every file finds the others beside it, wherever the folder is served.
 *
 * The page side and the worker are built one after the other, so that each worker file is whole: applications bundle
 * them again, and most bundlers cannot split a worker.
 */
export default defineConfig(({ mode }) => ({
  base: './',
  publicDir: false,
  plugins: [workerByName(), withoutLostMaps()],
  resolve: { conditions: ['onnxruntime-web-use-extern-wasm', ...defaultClientConditions] },
  build: {
    target: 'es2023',
    outDir: 'dist',
    emptyOutDir: mode !== 'worker',
    assetsInlineLimit: 0,
    modulePreload: false,
    sourcemap: true,
    reportCompressedSize: false,
    rolldownOptions: {
      input:
        mode === 'worker'
          ? { worker: 'worker/index.ts' }
          : { index: 'src/index.ts', glimpse: 'models/glimpse.ts', proxy: 'proxy/index.ts' },
      preserveEntrySignatures: 'strict',
      checks: { pluginTimings: false },
      output: { entryFileNames: '[name].js', chunkFileNames: 'chunks/[name]-[hash].js', assetFileNames },
    },
  },
}));

/**
 * Leaves `new Worker(new URL('./worker.js', import.meta.url), …)` in the package as every bundler knows it; Vite would
 * write an expression that only a browser understands.
 */
function workerByName(): Plugin {
  const source = "new URL('../../worker/index.ts', import.meta.url)";
  const built = "new URL('./worker.js', import.meta.url)";
  // Each stands in for the next at the same length, so the source map stays true, which `map: null` says.
  const kept = '__WORKER_URL'.padEnd(built.length, '_');
  const swap = (code: string, from: string, to: string) =>
    code.includes(from) ? { code: code.replace(from, to), map: null } : null;
  return {
    name: 'worker-by-name',
    enforce: 'pre',
    transform: (code) => swap(code, source, kept.padEnd(source.length)),
    renderChunk: (code) => swap(code, kept, built),
  };
}

/** ONNX Runtime's scripts name source maps that do not come along, which development servers complain about. */
function withoutLostMaps(): Plugin {
  return {
    name: 'without-lost-maps',
    generateBundle(_, bundle) {
      for (const file of Object.values(bundle)) {
        if (file.type !== 'asset' || !file.fileName.endsWith('.mjs')) continue;
        file.source = Buffer.from(file.source)
          .toString()
          .replace(/\n\/\/# sourceMappingURL=\S+\s*$/, '\n');
      }
    },
  };
}

/**
 * Files keep their names. ONNX Runtime's have a folder of their own, to which the `assets.ort` option can point elsewhere;
 * a model's lie as on the hub.
 */
function assetFileNames({ originalFileNames: [path = ''] }: { originalFileNames: string[] }): string {
  const model = /models\/(.+)$/.exec(path)?.[1];
  return model ?? 'ort/[name][extname]';
}
