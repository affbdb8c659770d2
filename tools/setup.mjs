/**
 * Gets what the build and the tests need and this machine lacks: packages, a Chromium, a Firefox, a software Vulkan
 * driver. Each step is announced before it happens. Does nothing, quickly, where all is there.
 *
 *   node tools/setup.mjs [--no-setup] [--packages-only]
 *
 * `--no-setup` refuses every step: it only says what is missing. Plain JavaScript without dependencies, because it
 * runs before they are there.
 */
import { chdir, exit } from 'node:process';
import { fileURLToPath } from 'node:url';
import { browserNames, missingBrowser } from './setup/browsers.mjs';
import { missingDependencies } from './setup/dependencies.mjs';
import { missingLavapipe } from './setup/lavapipe.mjs';

/** @param {import('./setup/step.d.ts').Step | undefined} step */
function take(step) {
  if (!step) return;
  if (process.argv.includes('--no-setup')) {
    console.error(`setup: missing, and --no-setup forbids this: ${step.announcement}. ${step.advice}`);
    exit(1);
  }
  console.log(`setup: ${step.announcement}`);
  if (!step.run()) {
    console.error(`setup: that failed. ${step.advice}`);
    exit(1);
  }
}

chdir(fileURLToPath(new URL('..', import.meta.url)));
try {
  take(missingDependencies());
  if (!process.argv.includes('--packages-only')) {
    for (const name of browserNames) take(missingBrowser(name));
    take(missingLavapipe());
  }
} catch (error) {
  console.error(`setup: ${error instanceof Error ? error.message : String(error)}`);
  exit(1);
}
