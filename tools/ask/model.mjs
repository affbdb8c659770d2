import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { UsageError } from './usage.mjs';

/** Configs and tokenizer. A model may lack some; the library reports a missing one that it needs. */
const configs = [
  'config.json',
  'generation_config.json',
  'preprocessor_config.json',
  'processor_config.json',
  'chat_template.json',
  'tokenizer.json',
  'tokenizer_config.json',
];

/**
 * The hub's file suffixes, in the order in which they are tried.
 *
 * @type {readonly { dtype: string, suffix: string, f16: boolean }[]}
 */
const dtypes = [
  { dtype: 'q4f16', suffix: '_q4f16', f16: true },
  { dtype: 'q4', suffix: '_q4', f16: false },
  { dtype: 'fp16', suffix: '_fp16', f16: true },
  { dtype: 'fp32', suffix: '', f16: false },
];

const graphs = { vision: 'vision_encoder', embed: 'embed_tokens', decoder: 'decoder_model_merged' };

/**
 * @param {string} folder
 * @param {string} path within it
 */
async function describeFile(folder, path) {
  const file = join(folder, path);
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk);
  return { path, bytes: statSync(file).size, sha256: hash.digest('hex') };
}

/**
 * The spec of a model in a folder laid out as on the hub: configs at its root, graphs in `onnx`.
 *
 * @param {string} folder
 * @param {string} baseURL the folder's URL for the page
 * @returns {Promise<import('../../src/protocol/model-spec.ts').ModelSpec>}
 */
export async function specOfFolder(folder, baseURL) {
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
  const variants = [];
  for (const { dtype, suffix, f16 } of dtypes) {
    const paths = Object.entries(graphs).map(([name, graph]) => ({ name, path: `onnx/${graph}${suffix}.onnx` }));
    if (!paths.every(({ path }) => existsSync(join(folder, path)))) continue;
    const files = paths.map(async ({ name, path }) => [name, await describeFile(folder, path)]);
    const devices = f16 ? ['webgpu'] : ['webgpu', 'wasm'];
    variants.push({ dtype, devices, f16, ...Object.fromEntries(await Promise.all(files)) });
  }
  if (variants.length === 0) throw new UsageError(`${folder} has no complete set of graphs in its onnx folder.`);
  const present = configs.filter((path) => existsSync(join(folder, path)));
  return {
    id: basename(resolve(folder)),
    modelType: 'idefics3',
    baseURL,
    files: await Promise.all(present.map((path) => describeFile(folder, path))),
    variants,
    contextLength: config.text_config.max_position_embeddings,
    bearableOnWasm: true, // a folder is given to run it anywhere
  };
}
