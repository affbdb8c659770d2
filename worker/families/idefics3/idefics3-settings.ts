import { NearsightError } from '../../../src/wire/error.ts';
import type { FamilyFiles, TextConfig } from '../processor.ts';
import { Fields } from '../config-reader.ts';
import { RESCALE_FACTOR, type ViewSettings } from './idefics3-tiles.ts';

/** Pillow's number for the Lanczos filter, the one that we have. */
const LANCZOS = 1;

const CHANNELS = 3;

/** The reference scales anything longer down again, in one more step. */
const MAX_EDGE = 4096;

/** The vocabulary has names for tiles up to `<row_6_col_6>`. */
const MAX_TILES = 6;

/** Parses one of the model's files. */
export function parse(files: FamilyFiles, name: string): Fields {
  const bytes = files.get(name);
  if (!bytes) throw new NearsightError('load_failed', `The model has no ${name}; its spec must list one under files.`);
  try {
    const root: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return new Fields(root, name);
  } catch (cause) {
    throw new NearsightError('load_failed', `${name} is not JSON.`, { cause });
  }
}

/** The decoder's numbers. `stopIds` come from the generation config: the text config's own `eos_token_id` is wrong. */
export function textConfig(config: Fields, generation: Fields): TextConfig {
  const hidden = config.count('text_config.hidden_size');
  const heads = config.count('text_config.num_attention_heads');
  return {
    layers: config.count('text_config.num_hidden_layers'),
    kvHeads: config.count('text_config.num_key_value_heads'),
    headDim: config.get('text_config.head_dim') === undefined ? hidden / heads : config.count('text_config.head_dim'),
    hidden,
    vocab: config.count('text_config.vocab_size'),
    maxPositions: config.count('text_config.max_position_embeddings'),
    stopIds: generation.numbers('eos_token_id'),
  };
}

/** How pictures are cut and scaled. Steps that we do not have a choice of must be as we do them. */
export function viewSettings(config: Fields, preprocessor: Fields): ViewSettings {
  preprocessor.expect('do_resize', true);
  preprocessor.expect('do_rescale', true);
  preprocessor.expect('do_normalize', true);
  preprocessor.expect('resample', LANCZOS);
  preprocessor.expect('rescale_factor', RESCALE_FACTOR);
  const size = preprocessor.count('max_image_size.longest_edge');
  config.expect('vision_config.image_size', size);
  const longestEdge = preprocessor.count('size.longest_edge');
  const most = Math.min(MAX_TILES * size, MAX_EDGE);
  if (longestEdge > most) throw preprocessor.error('size.longest_edge', `at most ${most}`);
  return {
    size,
    longestEdge,
    splitting: preprocessor.get('do_image_splitting') === true,
    mean: preprocessor.numbers('image_mean', CHANNELS),
    std: preprocessor.numbers('image_std', CHANNELS),
  };
}

/** Feature rows of one view: patches, after the connector has folded squares of `scale_factor` into one. */
export function rowsPerView(config: Fields, processor: Fields): number {
  const patches = config.count('vision_config.image_size') / config.count('vision_config.patch_size');
  const rows = (patches / config.count('scale_factor')) ** 2;
  processor.expect('image_seq_len', rows);
  return rows;
}

/** Jinja source of the chat template, from either of the two places where models keep it. */
export function chatTemplate(files: FamilyFiles): string {
  const file = files.has('chat_template.json') ? 'chat_template.json' : 'tokenizer_config.json';
  return parse(files, file).string('chat_template');
}
