import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { bytesIn } from '../../../src/bytes/file-bytes.ts';
import { halfToFloat } from '../../../worker/onnx/tensor.ts';
import { type Evaluate, evaluateOn, type TensorData } from '../../../worker/onnx/optimize/evaluate-model.ts';
import type { GraphFile } from '../../../worker/onnx/model/external-data.ts';

/** Evaluates subgraphs for the optimizer with native ORT. */
export const evaluate: Evaluate = evaluateOn(ort, 'cpu');

/** A graph of the embedded model. */
export function glimpse(name: string): Uint8Array {
  return new Uint8Array(readFileSync(join(import.meta.dirname, '../../../models/glimpse/onnx', `${name}.onnx`)));
}

/** A graph whose weights are all in its own file. */
export function singleFile(graph: Uint8Array): GraphFile {
  return { graph, externalData: [] };
}

/** A graph in native ORT. */
export class Native {
  readonly #session: ort.InferenceSession;

  private constructor(session: ort.InferenceSession) {
    this.#session = session;
  }

  static async open(model: Uint8Array | GraphFile): Promise<Native> {
    const { graph, externalData: files } = model instanceof Uint8Array ? { graph: model, externalData: [] } : model;
    // Native ORT reads the buffer itself, and cannot read lazy bytes. Copied, because some are computed in the same memory.
    const externalData = files.map(({ path, data }) => ({ path, data: new Uint8Array(bytesIn(data)) }));
    const options = { intraOpNumThreads: 1, externalData, logSeverityLevel: 3 as const };
    return new Native(await ort.InferenceSession.create(bytesIn(graph), options));
  }

  get inputs(): readonly ort.InferenceSession.ValueMetadata[] {
    return this.#session.inputMetadata;
  }

  async run(feeds: ReadonlyMap<string, TensorData>): Promise<Record<string, ort.Tensor>> {
    const inputs = [...feeds].map(([name, { type, data, dims }]) => [name, new ort.Tensor(type, data, dims)] as const);
    return this.#session.run(Object.fromEntries(inputs));
  }

  async close(): Promise<void> {
    await this.#session.release();
  }
}

/** Pseudo-random numbers between -1 and 1, the same for the same seed. */
export function pseudoRandom(count: number, seed: number): Float32Array<ArrayBuffer> {
  let state = seed * 2654435761 + 1;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** Decodes rows in chunks, with the lengths or masks that the graph takes. Returns the last row's logits of each chunk. */
export async function readAll(decoder: Native, chunks: readonly number[], seed = 1): Promise<Float32Array[]> {
  const logits: Float32Array[] = [];
  let past = 0;
  let cache = new Map<string, TensorData>();
  for (const rows of chunks) {
    const feeds = new Map<string, TensorData>();
    for (const port of decoder.inputs) {
      feeds.set(port.name, cache.get(port.name) ?? feed(port, past, rows, seed));
    }
    const outputs = await decoder.run(feeds);
    const last = outputs['logits'];
    if (!last) throw new Error('The decoder returned no logits.');
    const vocab = last.dims.at(-1) ?? 0;
    logits.push(Float32Array.from((last.data as Float32Array).slice(-vocab)));
    cache = new Map(
      Object.entries(outputs)
        .filter(([name]) => name.startsWith('present.'))
        .map(([name, tensor]) => [name.replace('present.', 'past_key_values.'), tensor]),
    );
    past += rows;
  }
  return logits;
}

/** By position, so that chunks of any size read the same. */
function embeddings(past: number, rows: number, width: number, seed: number): Float32Array {
  return pseudoRandom((past + rows) * width, seed).subarray(past * width);
}

function feed(port: ort.InferenceSession.ValueMetadata, past: number, rows: number, seed: number): TensorData {
  if (!port.isTensor) throw new Error(`${port.name} is not a tensor.`);
  const total = past + rows;
  switch (port.name) {
    case 'inputs_embeds': {
      const width = Number(port.shape[2]);
      return { type: 'float32', dims: [1, rows, width], data: embeddings(past, rows, width, seed) };
    }
    case 'attention_mask':
      return { type: 'int64', dims: [1, total], data: new BigInt64Array(total).fill(1n) };
    case 'position_ids':
      return { type: 'int64', dims: [1, rows], data: BigInt64Array.from({ length: rows }, (_, i) => BigInt(past + i)) };
    case 'num_logits_to_keep':
      return { type: 'int64', dims: [], data: BigInt64Array.of(1n) };
    case 'seqlens_k':
      return { type: 'int32', dims: [1], data: Int32Array.of(total - 1) };
    case 'total_sequence_length':
      return { type: 'int32', dims: [1], data: Int32Array.of(total) };
    default: {
      const dims = [1, Number(port.shape[1]), 0, Number(port.shape[3])];
      return port.type === 'float16'
        ? { type: 'float16', dims, data: new Uint16Array(0) }
        : { type: 'float32', dims, data: new Float32Array(0) };
    }
  }
}

/** Encodes pseudo-random crops, with a mask that is all set if the graph takes one. */
export async function encodeCrops(
  encoder: Native,
  count: number,
  size: number,
): Promise<{ dims: readonly number[]; data: Float32Array }> {
  const feeds = new Map<string, TensorData>([
    [
      'pixel_values',
      { type: 'float32', dims: [1, count, 3, size, size], data: pseudoRandom(count * 3 * size * size, 3) },
    ],
  ]);
  if (encoder.inputs.some(({ name }) => name === 'pixel_attention_mask')) {
    const data = new Uint8Array(count * size * size).fill(1);
    feeds.set('pixel_attention_mask', { type: 'bool', dims: [1, count, size, size], data });
  }
  const { image_features: features } = await encoder.run(feeds);
  if (!features || !ArrayBuffer.isView(features.data)) throw new Error('The encoder returned no image_features.');
  const { dims, data } = features;
  if (data instanceof Float32Array) return { dims, data };
  return { dims, data: halfToFloat(new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2)) };
}

/** The largest difference between two lists, relative to the largest number in the first. */
export function distance(expected: ArrayLike<number>, actual: ArrayLike<number>): number {
  if (expected.length !== actual.length) return Number.POSITIVE_INFINITY;
  let difference = 0;
  let scale = 0;
  for (let i = 0; i < expected.length; i++) {
    const [a, b] = [expected[i] ?? Number.NaN, actual[i] ?? Number.NaN];
    if (!Number.isFinite(a) || !Number.isFinite(b)) return Number.POSITIVE_INFINITY;
    difference = Math.max(difference, Math.abs(a - b));
    scale = Math.max(scale, Math.abs(a));
  }
  return scale === 0 ? Number.POSITIVE_INFINITY : difference / scale;
}

/** The number of nodes of each operator. */
export function census(nodes: readonly { type: string }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { type } of nodes) counts[type] = (counts[type] ?? 0) + 1;
  return counts;
}
