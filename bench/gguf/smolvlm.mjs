/**
 * GGUF files of SmolVLM-256M's shapes with random weights, for llama.cpp: the text model in Q8_0 and Q4_0 (its output too, which
 * `llama-quantize` would keep in 8 bits), and vision encoders in Q8_0. Tokens and chat template are those of the full-size
 * stand-in.
 *
 * llama.cpp's preprocessor for Idefics3 always makes an overview and at least one tile: two crops. For one crop there is an
 * encoder of the same layers under the projector of Gemma 3, which takes 4x4 features at once as well (a pool and a matrix of
 * 768x576 in place of one of 12288x576).
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { standinFolder } from '../../tools/standin.mjs';
import { writeGguf } from './write-gguf.mjs';

/**
 * @typedef {import('./write-gguf.mjs').Entry} Entry
 * @typedef {import('./write-gguf.mjs').TensorOf} TensorOf
 */

export const ggufFolder = join(homedir(), '.cache/nearsight/gguf');

const TEXT = { width: 576, inner: 1536, layers: 30, heads: 9, kvHeads: 3, head: 64, tokens: 49_280 };
const VISION = { width: 768, inner: 3072, layers: 12, heads: 12, image: 512, patch: 16, scale: 4 };

/** Writes the files that are missing. Needs the stand-in's. */
export function fillGguf() {
  mkdirSync(ggufFolder, { recursive: true });
  /** @param {string} name @param {(path: string) => void} write */
  const fill = (name, write) => {
    const path = join(ggufFolder, name);
    if (!existsSync(path)) write(path);
  };
  for (const type of /** @type {const} */ (['q8_0', 'q4_0']))
    fill(`text-${type}.gguf`, (path) => writeGguf(path, textEntries(), textTensors(type)));
  for (const projector of /** @type {const} */ (['idefics3', 'gemma3']))
    fill(`mmproj-${projector}.gguf`, (path) => writeGguf(path, visionEntries(projector), visionTensors(projector)));
}

/** @returns {Entry[]} */
function textEntries() {
  /** @param {string} name */
  const read = (name) => JSON.parse(readFileSync(join(standinFolder, name), 'utf8'));
  const { model, added_tokens: added } = read('tokenizer.json');
  const tokens = Array.from({ length: TEXT.tokens }, (_, id) => `<unused ${id}>`);
  for (const [token, id] of Object.entries(model.vocab)) tokens[Number(id)] = token;
  // 1: normal, 3: control.
  const types = tokens.map(() => 1);
  for (const { id, content, special } of added) {
    tokens[id] = content;
    if (special) types[id] = 3;
  }
  /** @param {string | [string, string]} pair */
  const merge = (pair) => (typeof pair === 'string' ? pair : pair.join(' '));
  return [
    ['general.architecture', 'string', 'llama'],
    ['general.name', 'string', 'random weights'],
    ['llama.context_length', 'u32', 8192],
    ['llama.vocab_size', 'u32', TEXT.tokens],
    ['llama.embedding_length', 'u32', TEXT.width],
    ['llama.feed_forward_length', 'u32', TEXT.inner],
    ['llama.block_count', 'u32', TEXT.layers],
    ['llama.attention.head_count', 'u32', TEXT.heads],
    ['llama.attention.head_count_kv', 'u32', TEXT.kvHeads],
    ['llama.attention.layer_norm_rms_epsilon', 'f32', 1e-5],
    ['llama.rope.dimension_count', 'u32', TEXT.head],
    ['llama.rope.freq_base', 'f32', 100_000],
    ['tokenizer.ggml.model', 'string', 'gpt2'],
    ['tokenizer.ggml.pre', 'string', 'smollm'],
    ['tokenizer.ggml.tokens', 'string', tokens],
    ['tokenizer.ggml.token_type', 'i32', types],
    ['tokenizer.ggml.merges', 'string', model.merges.map(merge)],
    ['tokenizer.ggml.bos_token_id', 'u32', 1],
    ['tokenizer.ggml.eos_token_id', 'u32', 49_279],
    ['tokenizer.ggml.add_bos_token', 'bool', false],
    ['tokenizer.chat_template', 'string', read('chat_template.json').chat_template],
  ];
}

/** @param {'q8_0' | 'q4_0'} type @returns {TensorOf[]} */
function textTensors(type) {
  const { width, inner, layers, kvHeads, head, tokens } = TEXT;
  /** @param {string} name @param {number} columns @param {number} rows @returns {TensorOf} */
  const matrix = (name, columns, rows) => ({ name: `${name}.weight`, shape: [columns, rows], type });
  /** @param {string} name @returns {TensorOf} */
  const norm = (name) => ({ name: `${name}.weight`, shape: [width], type: 'f32', value: 1 });
  const blocks = Array.from({ length: layers }, (_, layer) => {
    const block = `blk.${layer}`;
    return [
      norm(`${block}.attn_norm`),
      matrix(`${block}.attn_q`, width, width),
      matrix(`${block}.attn_k`, width, kvHeads * head),
      matrix(`${block}.attn_v`, width, kvHeads * head),
      matrix(`${block}.attn_output`, width, width),
      norm(`${block}.ffn_norm`),
      matrix(`${block}.ffn_gate`, width, inner),
      matrix(`${block}.ffn_up`, width, inner),
      matrix(`${block}.ffn_down`, inner, width),
    ];
  });
  return [matrix('token_embd', width, tokens), ...blocks.flat(), norm('output_norm'), matrix('output', width, tokens)];
}

/** @param {'idefics3' | 'gemma3'} projector @returns {Entry[]} */
function visionEntries(projector) {
  return [
    ['general.architecture', 'string', 'clip'],
    ['general.type', 'string', 'mmproj'],
    ['general.name', 'string', 'random weights'],
    ['clip.has_vision_encoder', 'bool', true],
    ['clip.projector_type', 'string', projector],
    ['clip.use_gelu', 'bool', true],
    ['clip.vision.image_size', 'u32', VISION.image],
    ['clip.vision.patch_size', 'u32', VISION.patch],
    ['clip.vision.embedding_length', 'u32', VISION.width],
    ['clip.vision.feed_forward_length', 'u32', VISION.inner],
    ['clip.vision.block_count', 'u32', VISION.layers],
    ['clip.vision.attention.head_count', 'u32', VISION.heads],
    ['clip.vision.attention.layer_norm_epsilon', 'f32', 1e-6],
    ['clip.vision.projection_dim', 'u32', TEXT.width],
    ['clip.vision.projector.scale_factor', 'u32', VISION.scale],
    ['clip.vision.image_mean', 'f32', [0.5, 0.5, 0.5]],
    ['clip.vision.image_std', 'f32', [0.5, 0.5, 0.5]],
  ];
}

/** @param {'idefics3' | 'gemma3'} projector @returns {TensorOf[]} */
function visionTensors(projector) {
  const { width, inner, layers, image, patch, scale } = VISION;
  /** @param {string} name @param {number} columns @param {number} rows @returns {TensorOf[]} */
  const linear = (name, columns, rows) => [
    { name: `${name}.weight`, shape: [columns, rows], type: 'q8_0' },
    { name: `${name}.bias`, shape: [rows], type: 'f32', value: 0 },
  ];
  /** @param {string} name @returns {TensorOf[]} */
  const norm = (name) => [
    { name: `${name}.weight`, shape: [width], type: 'f32', value: 1 },
    { name: `${name}.bias`, shape: [width], type: 'f32', value: 0 },
  ];
  const blocks = Array.from({ length: layers }, (_, layer) => {
    const block = `v.blk.${layer}`;
    return [
      ...norm(`${block}.ln1`),
      ...['attn_q', 'attn_k', 'attn_v', 'attn_out'].flatMap((name) => linear(`${block}.${name}`, width, width)),
      ...norm(`${block}.ln2`),
      ...linear(`${block}.ffn_up`, width, inner),
      ...linear(`${block}.ffn_down`, inner, width),
    ];
  });
  /** @type {TensorOf[]} */
  const projection =
    projector === 'idefics3'
      ? [{ name: 'mm.model.fc.weight', shape: [width * scale ** 2, TEXT.width], type: 'q8_0' }]
      : [
          // Multiplied from the other side.
          { name: 'mm.input_projection.weight', shape: [TEXT.width, width], type: 'f16' },
          { name: 'mm.soft_emb_norm.weight', shape: [width], type: 'f32', value: 1 },
        ];
  return [
    { name: 'v.patch_embd.weight', shape: [patch, patch, 3, width], type: 'f16' },
    { name: 'v.patch_embd.bias', shape: [width], type: 'f32', value: 0 },
    { name: 'v.position_embd.weight', shape: [width, (image / patch) ** 2], type: 'f32' },
    ...blocks.flat(),
    ...norm('v.post_ln'),
    ...projection,
  ];
}
