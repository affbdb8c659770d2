import { expect, it } from 'vitest';
import { glimpse } from '../../../models/glimpse.ts';
import { catalogue, smolvlm256m } from '../../../models/index.ts';
import { isSafePath } from '../../../src/bytes/safe-path.ts';
import type { ModelSpec } from '../../../src/protocol/model-spec.ts';
import { resolveModel } from '../../../src/client/resolve-model.ts';
import { modelTypes } from '../../../worker/families/registry.ts';

const filesOf = ({ files, variants }: ModelSpec) => [
  ...files,
  ...variants.flatMap(({ graphs }) => Object.values(graphs).flatMap(({ file, data }) => [file, ...data])),
];

it.for(catalogue)('$id is pinned: a commit, and the size and hash of every file', (spec) => {
  expect(spec.revision).toMatch(/^[0-9a-f]{40}$/);
  for (const { path, bytes, sha256, url } of filesOf(spec)) {
    expect(isSafePath(path)).toBe(true);
    expect(Number.isSafeInteger(bytes) && bytes > 0).toBe(true);
    expect(sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(url).toBeUndefined();
  }
  const resolved = filesOf(resolveModel(spec)).map(({ url }) => String(url));
  expect(
    resolved.every((url) => url.startsWith(`https://huggingface.co/${spec.repository}/resolve/${spec.revision}/`)),
  ).toBe(true);
});

it.for([...catalogue, glimpse])('$id can run, everywhere, and says what it is', (spec) => {
  expect(modelTypes).toContain(spec.modelType);
  expect(spec.variants.some(({ devices, f16 }) => !f16 && devices.includes('webgpu') && devices.includes('wasm'))).toBe(
    true,
  );
  expect(spec.licence.spdx).toBe('Apache-2.0');
  expect(spec.description).toMatch(/^[^\n]{20,120}$/);
});

it('has each model once, the smallest first', () => {
  expect(new Set(catalogue.map(({ id }) => id)).size).toBe(catalogue.length);
  expect(catalogue[0]).toBe(smolvlm256m);
  const sizes = catalogue.map((spec) => filesOf(spec).reduce((sum, { bytes }) => sum + bytes, 0));
  expect(sizes).toEqual(sizes.toSorted((one, other) => one - other));
});
