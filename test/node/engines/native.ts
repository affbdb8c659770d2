import { InferenceSession, Tensor } from 'onnxruntime-node';
import { halfToFloat } from '../../../worker/onnx/tensor.ts';
import { argmax } from '../../../worker/sampling/cpu-sampler.ts';
import { cpuImageSplitter } from '../../../worker/vision/cpu-image-splitter.ts';
import type { PromptImage } from '../../../worker/vision/vision-inputs.ts';

/** A decoder run as its exporter meant it: the whole prompt at once, and a cache that grows by one. */
export interface NativeDecoder {
  /**
   * The greedy answer, with the logits that each id was taken from.
   *
   * @param images their features, which replace the embeddings of an id
   */
  answer(prompt: Int32Array, steps: number, images?: Images): Promise<{ id: number; logits: Float32Array }[]>;
}

interface Images {
  id: number;
  features: Float32Array;
}

/** Opens unmodified files in native onnxruntime on the CPU, the reference for ours. */
export async function nativeDecoder(
  embedFile: string | Uint8Array,
  decoderFile: string | Uint8Array,
): Promise<NativeDecoder> {
  const embed = await open(embedFile);
  const decoder = await open(decoderFile);
  const pasts = decoder.inputMetadata.flatMap((port) =>
    port.isTensor && port.name.startsWith('past_key_values.') ? [port] : [],
  );

  const integers = (values: number[]): Tensor =>
    new Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);

  async function read(
    ids: number[],
    at: number,
    past: Record<string, Tensor>,
    images?: Images,
  ): Promise<InferenceSession.ReturnType> {
    const { inputs_embeds } = await embed.run({ input_ids: integers(ids) });
    const embeddings = inputs_embeds as Tensor;
    if (images) mergeFeatures(embeddings, ids, images);
    const feeds: Record<string, Tensor> = {
      ...past,
      inputs_embeds: embeddings,
      attention_mask: integers(Array.from({ length: at + ids.length }, () => 1)),
    };
    const { inputNames } = decoder;
    if (inputNames.includes('position_ids')) feeds['position_ids'] = integers(ids.map((_, row) => at + row));
    if (inputNames.includes('num_logits_to_keep'))
      feeds['num_logits_to_keep'] = new Tensor('int64', BigInt64Array.of(1n), []);
    return decoder.run(feeds);
  }

  return {
    async answer(prompt, steps, images) {
      let past: Record<string, Tensor> = Object.fromEntries(
        pasts.map(({ name, shape, type }) => {
          const dims = [1, Number(shape[1]), 0, Number(shape[3])];
          return type === 'float16'
            ? [name, new Tensor(type, new Uint16Array(0), dims)]
            : [name, new Tensor('float32', new Float32Array(0), dims)];
        }),
      );
      let ids = [...prompt];
      let at = 0;
      const answer = [];
      for (let step = 0; step < steps; step++) {
        const outputs = await read(ids, at, past, images);
        const all = outputs['logits'] as Tensor;
        const logits = floatsOf(all).slice(-Number(all.dims.at(-1)));
        const id = argmax(logits);
        answer.push({ id, logits });
        at += ids.length;
        ids = [id];
        past = Object.fromEntries(
          pasts.map(({ name }) => [name, outputs[name.replace('past_key_values', 'present')] as Tensor]),
        );
      }
      return answer;
    },
  };
}

function mergeFeatures({ data, dims }: Tensor, ids: readonly number[], { id, features }: Images): void {
  const width = Number(dims.at(-1));
  let row = 0;
  for (const [at, each] of ids.entries()) {
    if (each !== id) continue;
    (data as Float32Array).set(features.subarray(row * width, (row + 1) * width), at * width);
    row++;
  }
}

function floatsOf({ data }: Tensor): Float32Array {
  if (data instanceof Float32Array) return data;
  if (!ArrayBuffer.isView(data)) throw new Error('no numbers');
  return halfToFloat(new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2));
}

function open(file: string | Uint8Array): Promise<InferenceSession> {
  return typeof file === 'string' ? InferenceSession.create(file) : InferenceSession.create(file);
}

/** The features of an image's crops, all encoded at once, by the unmodified file. */
export async function nativeFeatures(visionFile: string, image: PromptImage): Promise<Float32Array> {
  const session = await InferenceSession.create(visionFile);
  const inputs = await image.open(cpuImageSplitter, new AbortController().signal);
  const feeds: Record<string, Tensor> = {};
  for (const [name, { type, dims, data }] of Object.entries(await inputs.batch(0, image.crops))) {
    if (!ArrayBuffer.isView(data)) throw new Error('not in memory');
    feeds[name] = new Tensor(type, data, dims);
  }
  const { image_features: features } = await session.run(feeds);
  if (!(features?.data instanceof Float32Array)) throw new Error('no float32 features');
  return features.data;
}
