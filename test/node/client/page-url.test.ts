import { afterEach, expect, test, vi } from 'vitest';
import { isPageScheme, resolveURL } from '../../../src/bytes/page-url.ts';

afterEach(() => vi.unstubAllGlobals());

test.each([
  ['https://page.example/app/', 'https://page.example/near/', 'https'],
  ['blob:https://page.example/5f0c', 'https://page.example/near/', 'https'],
  ['blob:chrome-extension://abc/5f0c', 'chrome-extension://abc/near/', 'chrome-extension'],
  ['data:text/javascript,', undefined, 'data'],
])('in %s, a path is of the origin that made it', (href, resolved, scheme) => {
  vi.stubGlobal('location', { href });
  expect(resolveURL('/near/')?.href).toBe(resolved);
  expect([isPageScheme(scheme), isPageScheme('capacitor')]).toEqual([true, false]);
});
