/**
 * Installs what the build and the tests need and this machine lacks: dependencies, Chromium, Firefox, a software Vulkan
 * driver. Announces each step before it runs. Ends at once if nothing is missing.
 *
 *   node tools/setup.mjs [--no-setup] [--packages-only | --only chromium | --only firefox]
 *
 * `--no-setup` runs no step: it stops at the first thing that is missing and names it. `--only` leaves out what the other
 * browser needs. This file has no dependencies, because it runs before they are installed.
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
  const only = process.argv.includes('--only') ? process.argv.at(process.argv.indexOf('--only') + 1) : undefined;
  if (!process.argv.includes('--packages-only')) {
    for (const name of browserNames) if (!only || only === name) take(missingBrowser(name));
    if (!only) take(missingLavapipe());
  }
} catch (error) {
  console.error(`setup: ${error instanceof Error ? error.message : String(error)}`);
  exit(1);
}
