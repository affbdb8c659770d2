import { afterEach, expect, test, vi } from 'vitest';
import { resolveAssets } from '../../../src/client/resolve-assets.ts';

afterEach(() => vi.unstubAllGlobals());

const FOLDER = {
  worker: 'https://page.example/near/worker.js',
  ort: 'https://page.example/near/ort/',
  glimpse: 'https://page.example/near/glimpse/',
};

test.each<[unknown, object]>([
  ['/near/', FOLDER],
  ['/near', FOLDER],
  ['./../near/', FOLDER],
  [new URL('https://page.example/near/'), FOLDER],
  [undefined, {}],
  [{ worker: './w.js' }, { worker: 'https://page.example/app/w.js' }],
  [{ glimpse: '../toy' }, { glimpse: 'https://page.example/toy/' }],
  [{ ort: '/ort' }, { ort: 'https://page.example/ort/' }],
])('%o is resolved against the page', (assets, expected) => {
  vi.stubGlobal('document', { baseURI: 'https://page.example/app/' });
  expect(resolveAssets(assets as Parameters<typeof resolveAssets>[0])).toEqual(expected);
});
