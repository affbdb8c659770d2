/** Names of a decoder's inputs and outputs, as exporters for onnxruntime write them and as our passes add them. */

/** float [1, rows, hidden]: embeddings of the tokens to read. */
export const INPUTS_EMBEDS = 'inputs_embeds';
/** int64 [1, positions]. */
export const ATTENTION_MASK = 'attention_mask';
/** int64 [1, rows]. */
export const POSITION_IDS = 'position_ids';
/** int64 []: how many of the last rows to compute logits for. */
export const LOGITS_TO_KEEP = 'num_logits_to_keep';
/** int32 [1]: index of the last position, counting those in the cache. On the GPU, where attention runs there. */
export const SEQLENS_K = 'seqlens_k';
/**
 * int32 [1]: number of positions. On the CPU, because the shape of the run depends on it; on the GPU in a session that captures
 * its runs.
 */
export const TOTAL_LENGTH = 'total_sequence_length';
/** bool [1]: whether there are several rows. */
export const IS_PROMPT = 'is_prompt';
/** float [rows, positions]: what is added to the scores of several rows, 0 or minus infinity. */
export const CAUSAL_MASK = 'causal_mask';
/** int64 [heads, rows, 3]: where several rows' keys and values go in a cache of [1, heads, capacity, headDim]. */
export const KV_INDICES = 'kv_indices';
/** int64 [1]: number of positions in the cache. */
export const PAST_LENGTH = 'past_length';
/** Prefix of the inputs for cached keys and values. */
export const PAST = 'past_key_values.';
/** Prefix of the outputs for keys and values; the rest of the name is that of the input. */
export const PRESENT = 'present.';
/** float [1, rows, vocab]. */
export const LOGITS = 'logits';

/** The inputs of a decoder that the optimizer has changed, keys and values aside. */
export const OPTIMIZED_INPUTS: readonly string[] = [
  INPUTS_EMBEDS,
  SEQLENS_K,
  TOTAL_LENGTH,
  IS_PROMPT,
  CAUSAL_MASK,
  KV_INDICES,
  PAST_LENGTH,
];

const INPUTS: string[] = [INPUTS_EMBEDS, ATTENTION_MASK, POSITION_IDS, LOGITS_TO_KEEP, SEQLENS_K, TOTAL_LENGTH];

/** Whether nearsight knows what to feed to an input of this name. */
export function isDecoderInput(name: string): boolean {
  return INPUTS.includes(name) || name.startsWith(PAST);
}
