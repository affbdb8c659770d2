import { NearsightError } from '../../src/protocol/errors.ts';
import type { KvCache } from '../backend/kv-cache.ts';
import type { TensorMemory } from '../backend/tensor-memory.ts';
import * as ports from '../onnx/decoder-ports.ts';
import type { Embed } from '../onnx/embed-tokens.ts';
import { kvLayout } from '../onnx/kv-layout.ts';
import type { Ort, Tensor } from '../onnx/ort.ts';
import type { Session, Tensors } from '../onnx/ort-session.ts';
import { int64, release, rowsOf } from '../onnx/tensor.ts';
import { CpuSampledDecoder } from './cpu-sampled-decoder.ts';
import type { Decoder } from './decoder.ts';
import { featureMerger } from './merge-features.ts';
import { chunkRows, firstRows, MAX_CHUNK_ROWS, promptChunks } from './prompt-chunks.ts';

export interface StepwiseDecoderOptions {
  ort: Ort;
  embed: Embed;
  session: Session;
  memory: TensorMemory;
  /** Maximum number of positions in a sequence. */
  positions: number;
  /** Maximum number of prompt rows to read at once. Default: 512, or fewer if the graph computes logits for each row. */
  maxRows?: number | undefined;
}

/** Runs a decoder's graph as exported, one step after the other. For graphs that the other decoders cannot run. */
export class StepwiseDecoder extends CpuSampledDecoder implements Decoder {
  readonly precision: 'float32' | 'float16';
  readonly kv: KvCache;
  readonly #parts: StepwiseDecoderOptions;
  /** Rows of a chunk at the start of a sequence, and of a later one. */
  readonly #chunkRows: { first: number; later: number };
  /** The attention mask: 1 for each position. Longer than needed, so that it is rarely reallocated. */
  #ones = new BigInt64Array(0);

  /** @throws NearsightError `load_failed` if the graph needs inputs that are unknown here */
  constructor(options: StepwiseDecoderOptions) {
    const { session, memory, positions, maxRows = MAX_CHUNK_ROWS } = options;
    super();
    checkInputs(session);
    this.#parts = options;
    const layout = kvLayout(session);
    this.precision = layout.type;
    this.kv = memory.cache(layout, positions);
    const rows = Math.min(maxRows, chunkRows(session));
    this.#chunkRows = readsRowsBehindOthers(session)
      ? { first: rows, later: rows }
      : { first: firstRows(session, options.maxRows), later: 1 };
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
    const merge = featureMerger(features, imageTokenId);
    let left = ids.length;
    for await (const chunk of promptChunks(ids, () => this.maxRows(), signal)) {
      left -= chunk.length;
      await this.readRows(chunk, left === 0, (embeddings) =>
        merge(chunk, (tensor, row, count, at) => this.#parts.memory.copyRows(tensor, row, count, embeddings, at)),
      );
    }
    this.endPrompt();
  }

  async calibrate(): Promise<void> {}

  get buffers(): number {
    return this.#parts.memory.buffers();
  }

  close(): void {
    this.#parts.memory.close();
  }

  protected maxRows(): number {
    return this.length === 0 ? this.#chunkRows.first : this.#chunkRows.later;
  }

  protected async readRows(
    ids: Int32Array,
    withLogits = true,
    mergeFeatures?: (embeddings: Tensor) => void,
  ): Promise<void> {
    while (this.length + ids.length > this.kv.capacity) await this.kv.grow();
    const embeddings = this.#parts.memory.upload(await this.#parts.embed(ids));
    let outputs: Tensors;
    try {
      mergeFeatures?.(embeddings);
      outputs = await this.#parts.session.run(this.#feeds(embeddings, ids.length), this.kv.targets());
    } finally {
      release(embeddings);
    }
    this.kv.advance(ids.length, outputs);
    const logits = outputs[ports.LOGITS];
    if (!logits) throw new NearsightError('internal', 'The decoder returned no logits.');
    try {
      if (withLogits) this.lastLogits = await this.#parts.memory.readRow(logits, rowsOf(logits).rows - 1);
    } finally {
      release(logits);
    }
  }

  #feeds(embeddings: Tensor, count: number): Tensors {
    const { ort, session } = this.#parts;
    const total = this.length + count;
    if (this.#ones.length < total) this.#ones = new BigInt64Array(2 * total).fill(1n);
    const positions = Int32Array.from({ length: count }, (_, row) => this.length + row);
    const makers: Record<string, () => Tensor> = {
      [ports.SEQLENS_K]: () => new ort.Tensor('int32', Int32Array.of(total - 1), [1]),
      [ports.TOTAL_LENGTH]: () => new ort.Tensor('int32', Int32Array.of(total), [1]),
      [ports.ATTENTION_MASK]: () => new ort.Tensor('int64', this.#ones.subarray(0, total), [1, total]),
      [ports.POSITION_IDS]: () => int64(ort, positions, [1, count]),
      [ports.LOGITS_TO_KEEP]: () => int64(ort, Int32Array.of(1), []),
    };
    const feeds: Tensors = { ...this.kv.feeds(), [ports.INPUTS_EMBEDS]: embeddings };
    for (const [name, make] of Object.entries(makers)) if (session.inputs.has(name)) feeds[name] = make();
    return feeds;
  }
}

/**
 * Whether the graph can read several rows after a past. Those that were exported with MultiHeadAttention cannot: the bias
 * that they compute from the mask has another shape then ("invalid expand shape"). They are the ones without lengths.
 */
function readsRowsBehindOthers({ inputs }: Session): boolean {
  return inputs.has(ports.SEQLENS_K) || !inputs.has(ports.ATTENTION_MASK);
}

function checkInputs({ inputs }: Session): void {
  const unknown = [...inputs.keys()].find((name) => !ports.isDecoderInput(name));
  if (unknown)
    throw new NearsightError('load_failed', `The decoder has an input that nearsight does not know: ${unknown}.`);
}
