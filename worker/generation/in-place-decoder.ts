import { NearsightError } from '../../src/protocol/errors.ts';
import type { Heap, HeapKvCache } from '../backend/heap.ts';
import { failedRun } from '../backend/kv-cache.ts';
import type { LogitsRow } from '../backend/token-sampler.ts';
import * as ports from '../onnx/decoder-ports.ts';
import type { Embed } from '../onnx/embed-tokens.ts';
import { kvLayout } from '../onnx/kv-layout.ts';
import type { Tensor } from '../onnx/ort.ts';
import type { HeapTensor } from '../onnx/io-binding.ts';
import type { BoundRun, Session } from '../onnx/ort-session.ts';
import { bytesOf, release, rowsOf } from '../onnx/tensor.ts';
import type { SampledToken } from '../sampling/cpu-sampler.ts';
import type { Decoder, SamplingRequest } from './decoder.ts';
import { featureMerger } from './merge-features.ts';
import { promptChunks } from './prompt-chunks.ts';
import { sampleOnCpu } from './sample-on-cpu.ts';

/** Maximum rows in a chunk of a prompt, or of what is read of an answer. The abort signal is checked between chunks. */
const CHUNK_ROWS = 512;

/** A chunk after a long past has fewer, so that the scores of a layer's attention take no more bytes than this. */
const SCORE_BYTES = 128 << 20;

/** Query heads that share a head of keys and values, at most in most models. */
const GROUP = 4;

/** The prompt's logits are kept for further answers to it. */
type LogitsSlot = 'prompt logits' | 'step logits';

export interface InPlaceDecoderOptions {
  session: Session;
  heap: Heap;
  kv: HeapKvCache;
  embed: Embed;
  logits: LogitsRow;
}

/**
 * A decoder whose tensors stay in onnxruntime's heap: keys and values are appended to in place. onnxruntime's API would copy
 * all of them in and out at every step.
 */
export class InPlaceDecoder implements Decoder {
  readonly precision = 'float32';
  readonly replays = false;
  readonly kv: HeapKvCache;
  readonly #session: Session;
  readonly #heap: Heap;
  readonly #embed: Embed;
  readonly #width: number;
  readonly #heads: number;
  readonly #vocab: number;
  /** Whether the graph has inputs for chunks of several rows, as the pass `write-out-attention` adds them. */
  readonly #writtenOut: boolean;
  readonly #slots = new Map<string, { address: number; bytes: number }>();
  /** A step on the current memory. */
  #step: BoundRun | undefined;
  #logits: LogitsSlot = 'prompt logits';
  #promptLength = 0;

  constructor({ session, heap, kv, embed, logits }: InPlaceDecoderOptions) {
    this.#session = session;
    this.#heap = heap;
    this.kv = kv;
    this.#embed = embed;
    this.#vocab = logits.vocab;
    this.#width = Number(session.inputs.get(ports.INPUTS_EMBEDS)?.shape.at(-1));
    this.#heads = kvLayout(session).heads;
    this.#writtenOut = session.inputs.has(ports.IS_PROMPT);
  }

  get length(): number {
    return this.kv.length;
  }

  async reset(positions: number, kept = 0): Promise<void> {
    const { capacity } = this.kv;
    await this.kv.reserve(positions, kept);
    if (this.kv.capacity !== capacity) await this.#unbind();
  }

  async prefill(
    ids: Int32Array,
    imageTokenId: number,
    features: readonly Tensor[],
    signal: AbortSignal,
  ): Promise<void> {
    const merge = featureMerger(features, imageTokenId);
    for await (const chunk of promptChunks(ids, () => this.#chunkRows(), signal)) {
      await this.#embedTokens(chunk);
      merge(chunk, (tensor, row, count, at) => this.#copyRows(tensor, row, count, at));
      await this.#read(chunk.length, 'prompt logits');
    }
    this.#promptLength = this.length;
  }

  async read(ids: Int32Array, signal: AbortSignal): Promise<void> {
    for await (const chunk of promptChunks(ids, () => this.#chunkRows(), signal)) {
      await this.#reserveRows(chunk.length);
      await this.#embedTokens(chunk);
      await this.#read(chunk.length, 'step logits');
    }
  }

  async step(id: number): Promise<void> {
    await this.#reserveRows(1);
    await this.#embedTokens(Int32Array.of(id));
    this.#writeLengths(1);
    this.#step ??= this.#bind(1, 'step logits');
    await this.#run(this.#step, 1);
    this.#finish(1, 'step logits');
  }

  async logits(): Promise<Float32Array> {
    return this.#heap.floats(this.#slot(this.#logits, 4 * this.#vocab), this.#vocab);
  }

  sample(request: SamplingRequest, signal: AbortSignal): AsyncGenerator<SampledToken, void> {
    this.kv.rewind(this.#promptLength);
    this.#logits = 'prompt logits';
    return sampleOnCpu(this, request, signal);
  }

  async calibrate(): Promise<void> {}

  clear(): void {
    this.kv.clear();
    for (const { address, bytes } of this.#slots.values()) this.#heap.bytes(address, bytes).fill(0);
    this.#promptLength = 0;
  }

  readonly buffers = 0;

  close(): void {
    // Runs and releases wait for each other, and the session is closed after both.
    const free = (): void => {
      this.kv.clear();
      for (const { address } of this.#slots.values()) this.#heap.free(address);
      this.#slots.clear();
    };
    void this.#unbind().then(free, free);
  }

  async #reserveRows(rows: number): Promise<void> {
    while (this.length + rows > this.kv.capacity) {
      await this.kv.grow();
      await this.#unbind();
    }
  }

  #chunkRows(): number {
    const rows = SCORE_BYTES / (4 * GROUP * this.#heads * (this.length + CHUNK_ROWS));
    return Math.max(32, Math.min(CHUNK_ROWS, Math.floor(rows)));
  }

  /** Reads several rows from their embeddings. */
  async #read(rows: number, logits: LogitsSlot): Promise<void> {
    this.#writeLengths(rows);
    if (this.#writtenOut && rows > 1) this.#writeMask(rows);
    const bound = this.#bind(rows, logits);
    try {
      await this.#run(bound, rows);
    } finally {
      await bound.release();
    }
    this.#finish(rows, logits);
  }

  async #run(bound: BoundRun, rows: number): Promise<void> {
    await bound.run().catch((cause: unknown) => {
      throw failedRun(cause, rows, this.length);
    });
  }

  #finish(rows: number, logits: LogitsSlot): void {
    this.kv.advance(rows);
    this.#logits = logits;
  }

  async #embedTokens(ids: Int32Array): Promise<void> {
    const embeddings = await this.#embed(ids);
    try {
      this.#copyRows(embeddings, 0, ids.length, 0);
    } finally {
      release(embeddings);
    }
  }

  /** Copies rows of embeddings or features to the decoder's input, from its row `at` on. */
  #copyRows(from: Tensor, row: number, count: number, at: number): void {
    const { width } = rowsOf(from);
    if (from.type !== 'float32' || width !== this.#width) {
      const message = `Rows of ${width} ${from.type} cannot be read: the decoder takes ${this.#width} float32.`;
      throw new NearsightError('load_failed', message);
    }
    const bytes = 4 * width;
    const address = this.#slot(ports.INPUTS_EMBEDS, CHUNK_ROWS * bytes);
    this.#heap
      .bytes(address + at * bytes, count * bytes)
      .set(bytesOf(from).subarray(row * bytes, (row + count) * bytes));
  }

  #writeLengths(rows: number): void {
    const total = this.length + rows;
    this.#heap.ints(this.#slot(ports.SEQLENS_K, 4), 1)[0] = total - 1;
    this.#heap.ints(this.#slot(ports.TOTAL_LENGTH, 4), 1)[0] = total;
    // The lower half of an int64.
    this.#heap.ints(this.#slot(ports.PAST_LENGTH, 8), 2).set([this.length, 0]);
    this.#heap.bytes(this.#slot(ports.IS_PROMPT, 4), 1)[0] = rows > 1 ? 1 : 0;
  }

  /** The mask of a chunk, and where its keys and values go: once for all layers. */
  #writeMask(rows: number): void {
    const total = this.length + rows;
    const mask = this.#heap.floats(this.#slot(ports.CAUSAL_MASK, 4 * rows * total), rows * total).fill(-Infinity);
    for (let row = 0; row < rows; row++) mask.fill(0, row * total, row * total + this.length + row + 1);
    const count = 6 * this.#heads * rows;
    const indices = this.#heap.ints(this.#slot(ports.KV_INDICES, 4 * count), count).fill(0);
    for (let head = 0; head < this.#heads; head++) {
      for (let row = 0; row < rows; row++) {
        const at = 6 * (head * rows + row);
        indices[at + 2] = head;
        indices[at + 4] = this.length + row;
      }
    }
  }

  /** A run of that many rows on the current memory. */
  #bind(rows: number, logits: LogitsSlot): BoundRun {
    const { past, present } = this.kv.tensors();
    const own: Record<string, HeapTensor> = {
      [ports.INPUTS_EMBEDS]: this.#input(ports.INPUTS_EMBEDS, 'float32', [1, rows, this.#width]),
      [ports.SEQLENS_K]: this.#input(ports.SEQLENS_K, 'int32', [1]),
      [ports.TOTAL_LENGTH]: this.#input(ports.TOTAL_LENGTH, 'int32', [1]),
      ...(this.#writtenOut && {
        [ports.IS_PROMPT]: this.#input(ports.IS_PROMPT, 'bool', [1]),
        ...(rows > 1 ? this.#masks(rows) : this.#unreadMasks()),
        [ports.PAST_LENGTH]: this.#input(ports.PAST_LENGTH, 'int64', [1]),
      }),
    };
    const output: HeapTensor = {
      type: 'float32',
      dims: [1, 1, this.#vocab],
      address: this.#slot(logits, 4 * this.#vocab),
    };
    const bound = this.#session.bound({ ...past, ...own }, { ...present, [ports.LOGITS]: output });
    if (!bound) throw new NearsightError('internal', "onnxruntime's module is not at hand.");
    return bound;
  }

  #masks(rows: number): Record<string, HeapTensor> {
    return {
      [ports.CAUSAL_MASK]: this.#input(ports.CAUSAL_MASK, 'float32', [rows, this.length + rows]),
      [ports.KV_INDICES]: this.#input(ports.KV_INDICES, 'int64', [this.#heads, rows, 3]),
    };
  }

  /** A step does not read them, but has to be given some, at an address that stays. */
  #unreadMasks(): Record<string, HeapTensor> {
    const address = this.#slot('unread masks', 24 * this.#heads);
    return {
      [ports.CAUSAL_MASK]: { type: 'float32', dims: [1, 1], address },
      [ports.KV_INDICES]: { type: 'int64', dims: [this.#heads, 1, 3], address },
    };
  }

  #input(name: string, type: HeapTensor['type'], dims: readonly number[]): HeapTensor {
    const elementBytes = type === 'int64' ? 8 : 4;
    const bytes = elementBytes * dims.reduce((product, size) => product * size, 1);
    return { type, dims, address: this.#slot(name, bytes) };
  }

  /** Memory for a tensor of that name: kept, and replaced by more when more is needed. */
  #slot(name: string, bytes: number): number {
    const slot = this.#slots.get(name);
    if (slot && slot.bytes >= bytes) return slot.address;
    if (slot) this.#heap.free(slot.address);
    this.#slots.delete(name);
    const address = this.#heap.allocate(bytes);
    if (address === undefined) {
      const message = `There is no memory for ${name} (${Math.ceil(bytes / 1e6)} MB). Send fewer messages or images.`;
      throw new NearsightError('context_length_exceeded', message);
    }
    this.#slots.set(name, { address, bytes });
    return address;
  }

  async #unbind(): Promise<void> {
    const step = this.#step;
    this.#step = undefined;
    await step?.release();
  }
}
