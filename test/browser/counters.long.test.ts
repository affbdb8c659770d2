// @module-tag long
/** The counts of `counters.test.ts` over long answers, and with the full-size stand-in for SmolVLM-256M. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { specOfFolder } from '../../tools/ask/model.mjs';
import { fillStandin, standinAvailable, standinFolder } from '../../tools/standin.mjs';
import { growth, openCounted, perToken } from './counted-page.ts';
import { browserName } from './harness/harness.ts';

// It takes three minutes on Chromium's software adapter.
const slow = browserName === 'chromium' ? ['nightly'] : [];

test('500 decoded tokens do not add GPU memory', { timeout: 1_200_000, tags: slow }, async () => {
  await using page = await openCounted();
  await page.evaluate(async () => {
    Object.assign(globalThis, { near: nearsight.createNearsight({ model: glimpse, device: 'webgpu' }) });
    await near.load();
  });
  expect(await growth(page, 1279, 540, 40)).toBe(0);
});

if (!standinAvailable) console.warn('Skipped: the full-size stand-in for SmolVLM-256M is not on this machine.');

// In Chromium, on SwiftShader, it takes more than six minutes.
const supported = standinAvailable && browserName === 'firefox';

describe.skipIf(!supported)('SmolVLM-256M at full size, with random weights', () => {
  test(
    'a decoded token keeps to the limits of waits, bytes read and dispatches',
    { timeout: 1_800_000, tags: ['nightly'] },
    async () => {
      fillStandin('q4');
      await using page = await openCounted(({ url }) => {
        const { pathname } = new URL(url);
        if (!pathname.startsWith('/standin/')) return undefined;
        return new Response(readFileSync(join(standinFolder, pathname.slice('/standin/'.length))));
      });
      const spec = await specOfFolder(standinFolder, `${page.origin}/standin/`);
      await page.evaluate(async (model) => {
        const variants = model.variants.filter(({ dtype }) => dtype === 'q4');
        Object.assign(globalThis, {
          near: nearsight.createNearsight({ model: { ...model, variants }, device: 'webgpu' }),
        });
        await near.load();
      }, spec);
      // 49279 is <end_of_utterance>.
      const token = await perToken(page, 49279, 2, 10);
      expect(token.waits).toBe(0);
      expect(token.maps).toBeLessThanOrEqual(1);
      expect(token.readBytes).toBeLessThanOrEqual(64);
      expect(token.dispatches).toBeLessThanOrEqual(300);
    },
  );
});
