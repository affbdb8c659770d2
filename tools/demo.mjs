/**
 * Serves the demo on this machine. In a fresh clone it first installs the packages and builds. Ctrl+C stops it.
 *
 *   node tools/demo.mjs [--no-setup]
 */
import { chdir } from 'node:process';
import { fileURLToPath } from 'node:url';
import { prepare } from './fresh.mjs';

chdir(fileURLToPath(new URL('..', import.meta.url)));
prepare(['--packages-only', ...process.argv.slice(2)]);

// Imported here, after `prepare()` has installed it.
const { build, preview } = await import('vite');
await build({ configFile: 'demo/vite.config.ts', logLevel: 'warn' });
const server = await preview({ configFile: 'demo/vite.config.ts', logLevel: 'warn' });
console.log(`demo: ${server.resolvedUrls?.local[0]} (Ctrl+C stops it)`);
