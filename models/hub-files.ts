import type { Device, ModelFile, ModelGraph, ModelVariant } from '../src/protocol/model-spec.ts';

export const file = (path: string, bytes: number, sha256: string): ModelFile => ({ path, bytes, sha256 });

const graph = (...listed: Parameters<typeof file>): ModelGraph => ({ file: file(...listed), data: [] });

type Listed = readonly [bytes: number, sha256: string];

/**
 * The variants of a model that the hub has in 4 bits, half precision first.
 *
 * The table of embeddings is in half precision in both: it is looked up by our own kernel, which needs no `shader-f16`, or in
 * memory. These models were published in bfloat16. Half precision keeps its 8 bits of precision down to 2^-17.
 */
export function variants(embed: Listed, sets: Record<'q4f16' | 'q4', Record<'vision' | 'decoder', Listed>>) {
  const table = graph('onnx/embed_tokens_q4f16.onnx', ...embed);
  const variant = (dtype: 'q4f16' | 'q4', devices: Device[], f16: boolean): ModelVariant => {
    const { vision, decoder } = sets[dtype];
    const graphs = {
      vision: graph(`onnx/vision_encoder_${dtype}.onnx`, ...vision),
      embed: table,
      decoder: graph(`onnx/decoder_model_merged_${dtype}.onnx`, ...decoder),
    };
    return { dtype, devices, f16, graphs };
  };
  return [variant('q4f16', ['webgpu'], true), variant('q4', ['webgpu', 'wasm'], false)];
}
