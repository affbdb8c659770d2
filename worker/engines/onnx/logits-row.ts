import type { LogitsRow } from '../../backend/token-sampler.ts';
import type { Session } from '../../onnx/ort-session.ts';
import { SEQLENS_K, TOTAL_LENGTH } from '../../onnx/optimize/feed-lengths.ts';

/** The decoder's ports as surgery leaves them. */
const FED = /^(inputs_embeds|seqlens_k|total_sequence_length|past_key_values\..+)$/;

/** The logits of a decoder that can be run as `PipelinedDecoder` does. */
export function logitsRow({ inputs, outputs }: Session): LogitsRow | undefined {
  const { type, shape: [, rows, vocab] = [] } = outputs.get('logits') ?? {};
  if (![...inputs.keys()].every((name) => FED.test(name)) || !inputs.has(SEQLENS_K) || !inputs.has(TOTAL_LENGTH))
    return undefined;
  if (inputs.get('inputs_embeds')?.type !== 'float32' || rows !== 1 || typeof vocab !== 'number') return undefined;
  return type === 'float32' || type === 'float16' ? { vocab, type } : undefined;
}
