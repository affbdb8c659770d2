/**
 * Prints the models that we know of; or the spec of a model on Hugging Face's hub as code, pinned to the commit that the
 * branch is at now.
 *
 *   npm run catalogue
 *   npm run catalogue -- HuggingFaceTB/SmolVLM-256M-Instruct [--revision main] [--dtype q4] [--base-url URL]
 *
 * Exits with 1 when the repository cannot be used, with 2 when the arguments are wrong.
 */
import { parseArgs } from 'node:util';
import { modelsAsText } from './catalogue/model-list.mjs';
import { specAsCode } from './catalogue/print-spec.mjs';
import { importTypeScript } from './catalogue/import-typescript.mjs';

const usage = `Usage: npm run catalogue -- [ORG/NAME [options]]
  --revision REVISION  a branch, a tag or a commit; default: main
  --dtype DTYPE        only these graphs: q4, q4f16, …
  --base-url URL       a mirror that has the hub's paths`;

/** @param {unknown} error */
const textOf = (error) => (error instanceof Error ? error.message : String(error));

function readArguments() {
  /** @type {Record<'revision' | 'dtype' | 'base-url', { type: 'string' }>} */
  const options = { revision: { type: 'string' }, dtype: { type: 'string' }, 'base-url': { type: 'string' } };
  const { values, positionals } = parseArgs({ allowPositionals: true, options });
  const [hub, ...rest] = positionals;
  if (rest.length > 0) throw new Error('One repository at a time.');
  if (hub === undefined && Object.keys(values).length > 0) throw new Error('Options are for a repository: name it.');
  return { hub, revision: values.revision, dtype: values.dtype, baseURL: values['base-url'] };
}

/** @param {ReturnType<typeof readArguments>} model */
async function print({ hub, ...model }) {
  if (hub === undefined) return console.log(modelsAsText(await importTypeScript('models/index.ts')));
  const { resolveHub } = await importTypeScript('worker/hub/resolve-hub.ts');
  const { modelTypes: onnx } = await importTypeScript('worker/families/registry.ts');
  const others = await importTypeScript('worker/engines/transformers/model-types.ts');
  const modelTypes = [...onnx, ...others.PREPARED_BY_US, ...others.PREPARED_BY_IT];
  const { signal } = new AbortController();
  const { spec } = await resolveHub({ hub, ...model }, { modelTypes, signal });
  console.log(specAsCode(spec));
}

/** @type {ReturnType<typeof readArguments> | undefined} */
let model;
try {
  model = readArguments();
} catch (error) {
  console.error(`catalogue: ${textOf(error)}\n\n${usage}`);
  process.exitCode = 2;
}
if (model) {
  await print(model).catch((error) => {
    console.error(`catalogue: ${textOf(error)}`);
    process.exitCode = 1;
  });
}
