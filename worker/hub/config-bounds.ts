import { NearsightError } from '../../src/protocol/errors.ts';

/**
 * The largest numbers accepted in a repository's configs, by the key's name, wherever it stands. Each is several times what
 * any model has that could run in a browser, and small enough that buffers sized by it are refused by the checks that follow
 * and not by a crash.
 */
const MOST: Readonly<Record<string, number>> = {
  max_position_embeddings: 2 ** 21,
  vocab_size: 2 ** 20,
  hidden_size: 2 ** 14,
  intermediate_size: 2 ** 17,
  num_hidden_layers: 256,
  num_attention_heads: 256,
  num_key_value_heads: 256,
  head_dim: 1024,
  image_size: 4096,
  patch_size: 512,
  scale_factor: 64,
  pixel_shuffle_factor: 64,
  // Counts of pixels in Qwen's configs. Each family's processor bounds its own more tightly.
  longest_edge: 2 ** 26,
  shortest_edge: 2 ** 26,
  height: 2 ** 14,
  width: 2 ** 14,
  image_seq_len: 2 ** 16,
  max_image_tokens: 2 ** 16,
  // Of Gemma's encoder of sound: no size.
  gradient_clipping: 1e12,
};

/** For all other keys: what 32 bits hold. */
const ANY = 2 ** 32;
const MOST_DEPTH = 32;

/** Configs whose numbers size something. */
export const NUMBERED: readonly string[] = [
  'config.json',
  'generation_config.json',
  'preprocessor_config.json',
  'processor_config.json',
];

/** @throws NearsightError `load_failed` naming the file and the key of a number that no model has */
export function checkNumbers(config: unknown, file: string): void {
  walk(config, file, [], '');
}

function walk(value: unknown, file: string, path: readonly string[], key: string): void {
  if (path.length > MOST_DEPTH) throw refuse(file, path, 'is nested too deeply');
  if (typeof value === 'number') {
    const most = MOST[key] ?? ANY;
    if (!Number.isFinite(value) || Math.abs(value) > most)
      throw refuse(file, path, `is ${value}; at most ${most} is accepted`);
  }
  if (typeof value !== 'object' || value === null) return;
  // The items of a list stand for the list's key.
  const list = Array.isArray(value);
  for (const [name, item] of Object.entries(value)) walk(item, file, [...path, name], list ? key : name);
}

function refuse(file: string, path: readonly string[], why: string): NearsightError {
  return new NearsightError(
    'load_failed',
    `The repository cannot be used: ${file}: ${path.join('.').slice(0, 120)} ${why}.`,
  );
}
