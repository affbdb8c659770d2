/**
 * Installs what the build and the tests need and this machine lacks: dependencies, Chromium, Firefox, a software Vulkan
 * driver. Announces each step before it runs. Ends at once if nothing is missing.
 *
 *   node tools/setup.mjs [--no-setup] [--packages-only]
 *
 * `--no-setup` runs no step: it only says what is missing. This file has no dependencies, because it runs before they are
 * installed.
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
    console.error(
      `setup: something is missing, and --no-setup forbids this step: ${step.announcement}. ${step.advice}`,
    );
    exit(1);
  }
  console.log(`setup: ${step.announcement}`);
  if (!step.run()) {
    console.error(`setup: this step failed. ${step.advice}`);
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
