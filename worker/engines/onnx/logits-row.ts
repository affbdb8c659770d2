import type { Session } from '../../onnx/ort-session.ts';
import type { LogitsRow } from '../../backend/token-sampler.ts';
import { INPUTS_EMBEDS, LOGITS, PAST, SEQLENS_K, TOTAL_LENGTH } from '../../onnx/decoder-ports.ts';

/** The inputs that `optimizeDecoder` leaves, besides cached keys and values. */
const OPTIMIZED = [INPUTS_EMBEDS, SEQLENS_K, TOTAL_LENGTH];

/** The logits of a decoder that can be run as `PipelinedDecoder` does. */
export function logitsRow({ inputs, outputs }: Session): LogitsRow | undefined {
  const { type, shape: [, rows, vocab] = [] } = outputs.get(LOGITS) ?? {};
  const others = [...inputs.keys()].filter((name) => !name.startsWith(PAST));
  if (others.length !== OPTIMIZED.length || !OPTIMIZED.every((name) => inputs.has(name))) return undefined;
  if (inputs.get(INPUTS_EMBEDS)?.type !== 'float32' || rows !== 1 || typeof vocab !== 'number') return undefined;
  return type === 'float32' || type === 'float16' ? { vocab, type } : undefined;
}
