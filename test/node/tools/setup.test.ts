import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

/** Runs the setup without a home folder or path, so that it finds the dependencies only. */
function setup(env: Record<string, string>): { status: number | null; output: string } {
  const home = mkdtempSync(join(tmpdir(), 'nearsight-home-'));
  try {
    const environment = { HOME: home, USERPROFILE: home, PATH: home, ...env };
    const args = ['tools/setup.mjs', '--no-setup'];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { env: environment, encoding: 'utf8' });
    return { status, output: stdout + stderr };
  } finally {
    rmSync(home, { recursive: true });
  }
}

// Other systems have fixed paths where browsers are found.
test.skipIf(process.platform !== 'linux')('--no-setup prints what is missing and the step that it does not run', () => {
  const { status, output } = setup({});
  expect(output).toMatch(
    /^setup: something is missing, and --no-setup forbids this step: .*(chromium|chrome).*NEARSIGHT_CHROMIUM to its executable\.$/m,
  );
  expect(status).toBe(1);
});

test('a browser in NEARSIGHT_CHROMIUM that does not exist is an error', () => {
  const { status, output } = setup({ NEARSIGHT_CHROMIUM: '/nowhere/chromium' });
  expect(output).toContain('NEARSIGHT_CHROMIUM is /nowhere/chromium, which is not an executable file.');
  expect(status).toBe(1);
});
