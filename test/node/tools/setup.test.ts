import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

/** The setup on a machine that has these packages and nothing else. */
function setup(env: Record<string, string>): { status: number | null; said: string } {
  const home = mkdtempSync(join(tmpdir(), 'nearsight-home-'));
  try {
    const bare = { HOME: home, USERPROFILE: home, PATH: home, ...env };
    const args = ['tools/setup.mjs', '--no-setup'];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { env: bare, encoding: 'utf8' });
    return { status, said: stdout + stderr };
  } finally {
    rmSync(home, { recursive: true });
  }
}

// Elsewhere browsers are looked for at fixed places, too.
test.skipIf(process.platform !== 'linux')(
  '--no-setup says what is missing and what would have been done, and does not do it',
  () => {
    const { status, said } = setup({});
    expect(said).toMatch(/^setup: missing, and --no-setup forbids this: .*(chromium|chrome).*NEARSIGHT_CHROMIUM\.$/m);
    expect(status).toBe(1);
  },
);

test('a browser that is named and not there is not passed over', () => {
  const { status, said } = setup({ NEARSIGHT_CHROMIUM: '/nowhere/chromium' });
  expect(said).toContain('NEARSIGHT_CHROMIUM names /nowhere/chromium, which is not an executable file.');
  expect(status).toBe(1);
});
