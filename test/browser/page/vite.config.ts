import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const quiet = { checks: { pluginTimings: false } };

/** The test page, built the way a user's application would be. */
export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  logLevel: 'warn',
  build: {
    target: 'es2023',
    minify: false,
    assetsInlineLimit: 0,
    modulePreload: false,
    reportCompressedSize: false,
    emptyOutDir: true,
    rolldownOptions: quiet,
  },
  worker: { format: 'es', rolldownOptions: quiet },
});
