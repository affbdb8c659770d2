import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const quiet = { checks: { pluginTimings: false } };

/** The bench page, built like a user's application. */
export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  logLevel: 'warn',
  // The files of transformers.js' ONNX Runtime are served separately, not copied into the build.
  resolve: { conditions: ['onnxruntime-web-use-extern-wasm', 'module', 'browser', 'production'] },
  build: {
    target: 'es2023',
    assetsInlineLimit: 0,
    modulePreload: false,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 2000,
    emptyOutDir: true,
    rolldownOptions: quiet,
  },
  worker: { format: 'es', rolldownOptions: quiet },
});
