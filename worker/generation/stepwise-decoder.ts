import { NearsightError } from '../../src/protocol/errors.ts';
import type { Ort, Tensor } from '../onnx/ort.ts';
import { release, type Session, type Tensors } from '../onnx/ort-session.ts';
import { SEQLENS_K, TOTAL_LENGTH } from '../onnx/optimize/feed-lengths.ts';
import { type Decoder, type SamplingRequest, sampleOnCpu } from './decoder.ts';
import type { Embed } from '../onnx/embed-tokens.ts';
import { FeatureMerger } from './merge-features.ts';
import { type KvCache, kvLayout } from '../backend/kv-cache.ts';
import { elementBytes, int64, type TensorMemory, rowsOf } from '../backend/tensor-memory.ts';
import { yieldToEvents } from '../../src/async/yield-to-events.ts';
import type { SampledToken } from '../sampling/cpu-sampler.ts';

/** Most rows that a chunk of the prompt has: the shortest wait between two looks at the abort signal. */
export const MAX_CHUNK_ROWS = 512;

/** Graphs that give logits for every row are fed so few that the logits stay below this. */
const CHUNK_LOGIT_BYTES = 64 << 20;

export interface StepwiseDecoderOptions {
  ort: Ort;
  embed: Embed;
  session: Session;
  memory: TensorMemory;
  /** Most positions that a sequence will have. */
  positions: number;
  /** Most rows of a prompt to read at once; default: 512, or as many as the logits of every row allow. */
  mostRows?: number | undefined;
}

/** A decoder as its exporter meant it to be run, step by step. For wasm, and for graphs that surgery does not recognise. */
export class StepwiseDecoder implements Decoder {
  readonly precision: 'float32' | 'float16';
  readonly kv: KvCache;
  readonly #ort: Ort;
  readonly #embed: Embed;
  readonly #session: Session;
  readonly #memory: TensorMemory;
  readonly #chunkRows: number;
  /** The mask has no holes: one for each position there is, and more. */
  #ones = new BigInt64Array(0);
  #logits: Float32Array | undefined;
  /** Where the prompt ended, for further answers to it. */
  #prompt: { length: number; logits: Float32Array | undefined } = { length: 0, logits: undefined };

  /** @throws NearsightError `load_failed` if the graph needs inputs that are unknown here */
  constructor({ ort, embed, session, memory, positions, mostRows = MAX_CHUNK_ROWS }: StepwiseDecoderOptions) {
    checkInputs(session);
    this.#ort = ort;
    this.#embed = embed;
    this.#session = session;
    this.#memory = memory;
    const layout = kvLayout(session);
    this.precision = layout.type;
    this.kv = memory.cache(layout, positions);
    this.#chunkRows = Math.min(mostRows, chunkRows(session));
  }

  get length(): number {
    return this.kv.length;
  }

  reset(positions: number, kept = 0): Promise<void> {
    return this.kv.reserve(positions, kept);
  }

  async prefill(
    ids: Int32Array,
    imageTokenId: number,
    features: readonly Tensor[],
    signal: AbortSignal,
  ): Promise<void> {
    if (ids.length === 0) throw new NearsightError('invalid_request', 'The prompt is empty.');
    const rows = new FeatureMerger(features);
    for (let start = 0; start < ids.length; start += this.#chunkRows) {
      await yieldToEvents(signal);
      const chunk = ids.subarray(start, start + this.#chunkRows);
      const last = start + chunk.length === ids.length;
      await this.#read(chunk, last, (embeddings) =>
        rows.merge(chunk, imageTokenId, (tensor, row, count, at) =>
          this.#memory.copyRows(tensor, row, count, embeddings, at),
        ),
      );
    }
    signal.throwIfAborted();
    this.#prompt = { length: this.length, logits: this.#logits };
  }

  async step(id: number): Promise<void> {
    await this.#read(Int32Array.of(id), true);
  }

  async logits(): Promise<Float32Array> {
    if (!this.#logits) throw new NearsightError('internal', 'Nothing has been read yet.');
    return this.#logits;
  }

  sample(drawing: SamplingRequest, signal: AbortSignal): AsyncGenerator<SampledToken, void> {
    this.kv.rewind(this.#prompt.length);
    this.#logits = this.#prompt.logits;
    return sampleOnCpu(this, drawing, signal);
  }

  async calibrate(): Promise<void> {}

  clear(): void {
    this.kv.clear();
    this.#logits = undefined;
    this.#prompt = { length: 0, logits: undefined };
  }

  get buffers(): number {
    return this.#memory.buffers();
  }

  close(): void {
    this.#memory.close();
  }

  async #read(ids: Int32Array, wanted: boolean, lay?: (embeddings: Tensor) => void): Promise<void> {
    if (this.length + ids.length > this.kv.capacity) await this.kv.grow();
    const embeddings = await this.#embed(ids);
    let outputs: Tensors;
    try {
      lay?.(embeddings);
      outputs = await this.#session.run(this.#feeds(embeddings, ids.length), this.kv.targets());
    } finally {
      release(embeddings);
    }
    this.kv.advance(ids.length, outputs);
    const { logits } = outputs;
    if (!logits) throw new NearsightError('internal', 'The decoder gave no logits.');
    try {
      if (wanted) this.#logits = await this.#memory.readRow(logits, rowsOf(logits).rows - 1);
    } finally {
      release(logits);
    }
  }

  #feeds(embeddings: Tensor, count: number): Tensors {
    const past = this.kv.length;
    const feeds: Tensors = { ...this.kv.feeds(), inputs_embeds: embeddings };
    const { inputs } = this.#session;
    if (inputs.has(SEQLENS_K)) feeds[SEQLENS_K] = this.#int32(past + count - 1);
    if (inputs.has(TOTAL_LENGTH)) feeds[TOTAL_LENGTH] = this.#int32(past + count);
    if (inputs.has('attention_mask')) {
      const length = past + count;
      if (this.#ones.length < length) this.#ones = new BigInt64Array(2 * length).fill(1n);
      const mask = this.#ones.subarray(0, length);
      feeds['attention_mask'] = new this.#ort.Tensor('int64', mask, [1, length]);
    }
    if (inputs.has('position_ids')) {
      const positions = Int32Array.from({ length: count }, (_, row) => past + row);
      feeds['position_ids'] = int64(this.#ort, positions, [1, count]);
    }
    if (inputs.has('num_logits_to_keep')) feeds['num_logits_to_keep'] = int64(this.#ort, Int32Array.of(1), []);
    return feeds;
  }

  #int32(value: number): Tensor {
    return new this.#ort.Tensor('int32', Int32Array.of(value), [1]);
  }
}

function chunkRows({ inputs, outputs }: Session): number {
  const [, logitRows, vocab] = outputs.get('logits')?.shape ?? [];
  if (logitRows === 1 || inputs.has('num_logits_to_keep') || typeof vocab !== 'number') return MAX_CHUNK_ROWS;
  const rows = Math.floor(CHUNK_LOGIT_BYTES / (vocab * elementBytes(outputs.get('logits')?.type ?? 'float32')));
  return Math.max(32, Math.min(MAX_CHUNK_ROWS, rows));
}

const INPUTS =
  /^(inputs_embeds|attention_mask|position_ids|num_logits_to_keep|seqlens_k|total_sequence_length|past_key_values\..+)$/;

function checkInputs({ inputs }: Session): void {
  const unknown = [...inputs.keys()].find((name) => !INPUTS.test(name));
  if (unknown)
    throw new NearsightError('load_failed', `The decoder has an input that nearsight does not know: ${unknown}.`);
}
