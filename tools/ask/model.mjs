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
  'chat_template.jinja',
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
 * A graph with the files of its external data.
 *
 * @param {string} folder
 * @param {string} name
 */
async function describeGraph(folder, name) {
  const path = `onnx/${name}.onnx`;
  const data = [];
  for (let next = `${path}_data`; existsSync(join(folder, next)); next = `${path}_data_${data.length}`) {
    data.push(await describeFile(folder, next));
  }
  return { file: await describeFile(folder, path), data };
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
  /** @type {import('../../src/protocol/model-spec.ts').ModelVariant[]} */
  const variants = [];
  for (const { dtype, suffix, f16 } of dtypes) {
    const isThere = (/** @type {string} */ name) => existsSync(join(folder, `onnx/${name}.onnx`));
    const [vision, decoder] = [`vision_encoder${suffix}`, `decoder_model_merged${suffix}`];
    // The embeddings are the same in each, and some exports have fewer precisions of them.
    const embed = [suffix, '_fp16', ''].map((one) => `embed_tokens${one}`).find(isThere);
    if (!isThere(vision) || !isThere(decoder) || !embed) continue;
    const graphs = {
      vision: await describeGraph(folder, vision),
      embed: await describeGraph(folder, embed),
      decoder: await describeGraph(folder, decoder),
    };
    /** @type {import('../../src/protocol/model-spec.ts').Device[]} */
    const devices = f16 ? ['webgpu'] : ['webgpu', 'wasm'];
    variants.push({ dtype, devices, f16, graphs });
  }
  if (variants.length === 0) throw new UsageError(`${folder} has no complete set of graphs in its onnx folder.`);
  const present = configs.filter((path) => existsSync(join(folder, path)));
  return {
    format: 1,
    id: basename(resolve(folder)),
    modelType: config.model_type,
    baseURL,
    files: await Promise.all(present.map((path) => describeFile(folder, path))),
    variants,
    contextLength: (config.text_config ?? config).max_position_embeddings,
    wasm: 'ok', // a folder is named in order to run the model in it
    licence: { name: 'unknown', restricted: true },
  };
}
