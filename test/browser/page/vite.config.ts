import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

/** The test page, built the way a user's application would be. */
export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  logLevel: 'warn',
  build: { target: 'es2023', minify: false, modulePreload: false, reportCompressedSize: false, emptyOutDir: true },
  worker: { format: 'es' },
});
