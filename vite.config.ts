import { basename } from 'node:path';
import { defineConfig } from 'vite';

/**
 * The package: an ordinary build, not library mode, which would inline the wasm into the worker as absolute URLs.
 * With a relative base and nothing inlined, every file finds the others beside it, wherever the folder is served.
 */
export default defineConfig({
  base: './',
  publicDir: false,
  build: {
    target: 'es2023',
    outDir: 'dist',
    assetsInlineLimit: 0,
    modulePreload: false,
    // Two entries would otherwise be kept apart from each other's chunks by a preload helper that needs the DOM.
    minify: false,
    reportCompressedSize: false,
    rolldownOptions: {
      input: { index: 'src/index.ts' },
      preserveEntrySignatures: 'strict',
      output: { entryFileNames: '[name].js', chunkFileNames: 'chunks/[name]-[hash].js', assetFileNames },
    },
  },
  worker: {
    format: 'es',
    rolldownOptions: {
      output: { entryFileNames: 'worker.js', chunkFileNames: 'chunks/[name]-[hash].js', assetFileNames },
    },
  },
});

/** ONNX Runtime's files keep their names, in a folder of their own: the `assets.ort` option can point elsewhere. */
function assetFileNames({ names }: { names: string[] }): string {
  return names.some((name) => basename(name).startsWith('ort-'))
    ? 'ort/[name][extname]'
    : 'assets/[name]-[hash][extname]';
}
