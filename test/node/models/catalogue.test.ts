import { rolldown } from 'rolldown';
import { expect, it } from 'vitest';
import { glimpse } from '../../../models/glimpse.ts';
import { catalogue, knownModels, smolvlm256m } from '../../../models/index.ts';
import { isSafePath } from '../../../src/bytes/safe-path.ts';
import type { ModelSpec } from '../../../src/protocol/model-spec.ts';
import { checkModel } from '../../../src/client/check-spec.ts';
import { resolveModel } from '../../../src/client/resolve-model.ts';
import { engines } from '../../../worker/engines/engine-registry.ts';
import { modelTypesOf } from '../../../worker/engines/engine.ts';

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
  expect(modelTypesOf(engines)).toContain(spec.modelType);
  expect(spec.variants.some(({ devices, f16 }) => !f16 && devices.includes('webgpu') && devices.includes('wasm'))).toBe(
    true,
  );
  expect(spec.description).toMatch(/^[^\n]{20,120}$/);
});

it('has each model once, the smallest first', () => {
  expect(new Set(catalogue.map(({ id }) => id)).size).toBe(catalogue.length);
  expect(catalogue[0]).toBe(smolvlm256m);
  const sizes = catalogue.map((spec) => filesOf(spec).reduce((sum, { bytes }) => sum + bytes, 0));
  expect(sizes).toEqual(sizes.toSorted((one, other) => one - other));
});

it.for([...knownModels])('$name: the engine is the one that runs it, and a page can say what it should', (known) => {
  expect(checkModel(known.model, 'model')).toBeTruthy();
  expect(engines.find(({ modelTypes }) => modelTypes.includes(known.modelType))?.name).toBe(known.engine);
  expect(known.goodAt).toMatch(/^[A-Z][^\n]{15,110}[^.\n]$/);
  const { spdx, name, url, restricted, restriction } = known.licence;
  if (!restricted) return expect([spdx, restriction]).toEqual([expect.any(String), undefined]);
  // What the demo, the docs and the terminal say before a download.
  expect([name, restriction]).toEqual([expect.any(String), expect.any(String)]);
  expect(URL.canParse(url ?? '')).toBe(true);
});

it('the models that we know of are sorted by what they take to download, and those with specs are all there', () => {
  const sizes = knownModels.flatMap(({ bytes }) => (bytes ? [bytes.other] : []));
  expect(sizes).toEqual(sizes.toSorted((one, other) => one - other));
  const specs = knownModels.flatMap(({ model }) => ('hub' in model ? [] : [model]));
  expect(specs).toEqual(catalogue);
  const ids = knownModels.map(({ model }) => ('hub' in model ? model.hub : model.id));
  expect(new Set(ids).size).toBe(ids.length);
});

it('a page that imports one spec gets no other', async () => {
  const code = "import { smolvlm256m } from './models/index.ts'; console.log(smolvlm256m.id);";
  const bundle = await rolldown({
    input: 'page',
    plugins: [
      { name: 'page', resolveId: (id) => (id === 'page' ? id : null), load: (id) => (id === 'page' ? code : null) },
      {
        name: 'from-root',
        resolveId: (id, importer) => (importer === 'page' ? new URL(`../../../${id}`, import.meta.url).pathname : null),
      },
    ],
  });
  const { output } = await bundle.generate({ format: 'esm' });
  expect(output[0].code).toContain('SmolVLM-256M-Instruct');
  expect(output[0].code).not.toMatch(/LiquidAI|SmolVLM2|Granite/);
});
