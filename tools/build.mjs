/** Builds the package into dist: modules and the worker with Vite, declarations with the compiler. */
import { build } from 'vite';
import { exit } from 'node:process';
import { tool } from './setup/command.mjs';

for (const mode of ['page', 'worker']) await build({ mode, logLevel: 'warn' });
if (!tool('tsc', '-p', 'tsconfig.types.json')) exit(1);
