import { NearsightError } from '../../src/wire/error.ts';
import { Arrivals } from '../gpu/arrivals.ts';
import { GpuEmbedding } from '../gpu/embedding.ts';
import type { GpuMemory } from '../gpu/memory.ts';
import type { GpuDraw, GpuSampler } from '../gpu/sampling.ts';
import { COPY_DST, COPY_SRC, STORAGE } from '../gpu/usage.ts';
import type { Ort, Tensor } from '../onnx/ort.ts';
import type { Session, Tensors } from '../onnx/session.ts';
import { SEQLENS_K, TOTAL_LENGTH } from '../onnx/surgery/lengths.ts';
import type { EmbeddingTable } from '../onnx/table.ts';
import { type Decoder, type Drawing, drawOnCpu } from './decoder.ts';
import { FeatureRows } from './feature-rows.ts';
import { type KvCache, kvLayout } from './kv.ts';
import { elementBytes, rowsOf } from './memory.ts';
import { Pace } from './pace.ts';
import { pause } from './pause.ts';
import type { Drawn } from './sampler.ts';

/** The logits that a decoder gives at each run. */
export interface LogitsRow {
  vocab: number;
  type: 'float32' | 'float16';
}

/** The decoder's ports as surgery leaves them. */
const FED = /^(inputs_embeds|seqlens_k|total_sequence_length|past_key_values\..+)$/;

/** The logits of a decoder that can be run as {@link ResidentDecoder} does. */
export function logitsRow({ inputs, outputs }: Session): LogitsRow | undefined {
  const { type, shape: [, rows, vocab] = [] } = outputs.get('logits') ?? {};
  if (![...inputs.keys()].every((name) => FED.test(name)) || !inputs.has(SEQLENS_K) || !inputs.has(TOTAL_LENGTH))
    return undefined;
  if (inputs.get('inputs_embeds')?.type !== 'float32' || rows !== 1 || typeof vocab !== 'number') return undefined;
  return type === 'float32' || type === 'float16' ? { vocab, type } : undefined;
}

export interface ResidentOptions {
  ort: Ort;
  device: GPUDevice;
  session: Session;
  table: EmbeddingTable;
  logits: LogitsRow;
  memory: GpuMemory;
  sampler: GpuSampler;
  /** Most rows of a prompt to read at once. */
  mostRows: number;
  /** Milliseconds that a readback takes when the GPU has nothing to do. */
  latency: number;
}

/**
 * A decoder whose token never leaves the GPU on the critical path: kernels of our own draw it from the logits, embed it
 * into the input of the next step and count the position, so that steps are submitted without waiting for any. Ids are
 * read behind, several steps later.
 *
 * All tensors are made once. Their buffers are fed and written run after run, in the order of the queue.
 */
export class ResidentDecoder implements Decoder {
  readonly precision: 'float32' | 'float16';
  readonly #ort: Ort;
  readonly #device: GPUDevice;
  readonly #session: Session;
  readonly #memory: GpuMemory;
  readonly #cache: KvCache;
  readonly #sampler: GpuSampler;
  readonly #embedding: GpuEmbedding;
  readonly #arrivals: Arrivals;
  readonly #pace: Pace;
  readonly #mostRows: number;
  readonly #width: number;
  /** Positions after the run, where the graph wants it: in memory. */
  readonly #total = new Int32Array(1);
  /** Logits after the prompt are kept for further answers to it, so steps have a row of their own. */
  readonly #promptLogits: Tensor;
  readonly #stepLogits: Tensor;
  #logits: Tensor;
  #promptLength = 0;
  #feeds: Tensors = {};
  #promptTargets: Tensors = {};
  #stepTargets: Tensors = {};

  constructor(options: ResidentOptions) {
    const { ort, device, session, table, logits, memory, sampler, mostRows, latency } = options;
    this.#ort = ort;
    this.#device = device;
    this.#session = session;
    this.#memory = memory;
    this.#sampler = sampler;
    this.#mostRows = mostRows;
    this.#width = table.width;
    const layout = kvLayout(session);
    this.precision = layout.type;
    this.#cache = memory.cache(layout);
    this.#embedding = new GpuEmbedding(device, table, mostRows, sampler.drawn);
    this.#arrivals = new Arrivals(device, sampler.ring.size);
    this.#pace = new Pace(latency);
    const row = (label: string): Tensor => {
      const size = Math.ceil((logits.vocab * elementBytes(logits.type)) / 16) * 16;
      const buffer = device.createBuffer({ label, size, usage: STORAGE | COPY_SRC | COPY_DST });
      return this.#tensor(buffer, logits.type, [1, 1, logits.vocab]);
    };
    this.#promptLogits = row('logits after the prompt');
    this.#stepLogits = row('logits');
    this.#logits = this.#promptLogits;
  }

  get length(): number {
    return this.#cache.length;
  }

  reset(positions: number): void {
    this.#cache.reserve(positions);
    this.#cache.rewind(0);
    this.#feeds = {
      ...this.#cache.feeds(),
      inputs_embeds: this.#input(1),
      [SEQLENS_K]: this.#tensor(this.#embedding.last, 'int32', [1]),
      [TOTAL_LENGTH]: new this.#ort.Tensor('int32', this.#total, [1]),
    };
    this.#promptTargets = { ...this.#cache.targets(), logits: this.#promptLogits };
    this.#stepTargets = { ...this.#cache.targets(), logits: this.#stepLogits };
  }

  async prefill(
    ids: Int32Array,
    imageTokenId: number,
    features: readonly Tensor[],
    signal: AbortSignal,
  ): Promise<void> {
    if (ids.length === 0) throw new NearsightError('invalid_request', 'The prompt is empty.');
    const rows = new FeatureRows(features);
    for (let start = 0; start < ids.length; start += this.#mostRows) {
      await pause(signal);
      const chunk = ids.slice(start, start + this.#mostRows);
      const encoder = this.#device.createCommandEncoder();
      this.#embedding.lay(encoder, chunk);
      rows.lay(chunk, imageTokenId, (tensor, row, count, at) => this.#copy(encoder, tensor, row, count, at));
      this.#device.queue.submit([encoder.finish()]);
      this.#embedding.place(this.length + chunk.length);
      await this.#run({ ...this.#feeds, inputs_embeds: this.#input(chunk.length) }, this.#promptTargets, chunk.length);
    }
    signal.throwIfAborted();
    this.#logits = this.#promptLogits;
    this.#promptLength = this.length;
  }

  async step(id: number): Promise<void> {
    this.#device.queue.writeBuffer(this.#sampler.drawn, 0, Uint32Array.of(id));
    const encoder = this.#device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    this.#embedding.feed(pass);
    pass.end();
    this.#device.queue.submit([encoder.finish()]);
    await this.#run(this.#feeds, this.#stepTargets, 1);
  }

  logits(): Promise<Float32Array> {
    return this.#memory.readRow(this.#logits, 0);
  }

  draw(drawing: Drawing, signal: AbortSignal): AsyncGenerator<Drawn, void> {
    const { sampling, prompt, choice, topLogprobs, limit } = drawing;
    this.#cache.rewind(this.#promptLength);
    this.#embedding.place(this.#promptLength);
    this.#logits = this.#promptLogits;
    const draws = this.#sampler.begin(sampling, prompt, choice, topLogprobs);
    return draws ? this.#drawAhead(draws, limit, signal) : drawOnCpu(this, drawing, signal);
  }

  get buffers(): number {
    // Two rows of logits.
    const own = 2 + this.#sampler.buffers + this.#embedding.buffers + this.#arrivals.buffers;
    return own + this.#memory.buffers();
  }

  close(): void {
    this.#sampler.close();
    this.#embedding.close();
    this.#arrivals.close();
    this.#promptLogits.dispose();
    this.#stepLogits.dispose();
    this.#memory.close();
  }

  /** Submits draws and the steps between them ahead of what has been read, as far as the pace says. */
  async *#drawAhead(draws: GpuDraw, limit: number, signal: AbortSignal): AsyncGenerator<Drawn, void> {
    const pace = this.#pace;
    const arrivals = this.#arrivals;
    const aborted = abortOf(signal);
    const start = this.length;
    const words = draws.entryBytes / 4;
    let submitted = 0;
    let sent = 0;
    let read = 0;
    pace.begin();
    try {
      while (read < limit) {
        if (submitted < limit && (submitted - read < pace.ahead || arrivals.pending === 0)) {
          await pause(signal);
          submitted++;
          const full = submitted - sent >= pace.lot || submitted === limit || submitted - read >= pace.ahead;
          const lot = full && arrivals.room ? { from: sent, to: submitted } : undefined;
          this.#submitDraw(draws, submitted < limit, lot);
          if (lot) sent = submitted;
          if (submitted < limit) await this.#run(this.#feeds, this.#stepTargets, 1);
        } else await Promise.race([arrivals.oldest(), aborted.promise]);
        for (let lot = arrivals.take(); lot; lot = arrivals.take()) {
          const count = lot.length / words;
          pace.arrived(count, performance.now());
          for (let at = 0; at < lot.length; at += words) {
            read++;
            yield draws.read(lot.subarray(at, at + words));
          }
        }
      }
    } finally {
      aborted.forget();
      arrivals.abandon();
      // What was read beyond the last token taken is of no answer.
      this.#cache.rewind(Math.min(this.length, start + read));
    }
  }

  /** One command buffer: a draw from the logits that are there, its id fed to the step that follows, a lot sent home. */
  #submitDraw(draws: GpuDraw, steps: boolean, lot: { from: number; to: number } | undefined): void {
    const encoder = this.#device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    draws.encode(pass, this.#logits.gpuBuffer);
    if (steps) this.#embedding.feed(pass);
    pass.end();
    if (lot) this.#arrivals.copy(encoder, this.#sampler.ring, lot.from, lot.to, draws.entryBytes);
    this.#device.queue.submit([encoder.finish()]);
    if (!lot) return;
    this.#arrivals.send();
    this.#pace.sent();
  }

  async #run(feeds: Tensors, into: Tensors, count: number): Promise<void> {
    this.#total[0] = this.length + count;
    await this.#session.runInto(feeds, into);
    this.#cache.advance(count, {});
    this.#logits = this.#stepLogits;
  }

  #copy(encoder: GPUCommandEncoder, features: Tensor, row: number, count: number, at: number): void {
    const { width } = rowsOf(features);
    if (features.type !== 'float32' || width !== this.#width) {
      const given = `${features.type} features of ${width}`;
      throw new NearsightError(
        'load_failed',
        `The vision encoder gives ${given}, the decoder takes ${this.#width} floats.`,
      );
    }
    const bytes = width * 4;
    const { embeddings } = this.#embedding;
    encoder.copyBufferToBuffer(features.gpuBuffer, row * bytes, embeddings, at * bytes, count * bytes);
  }

  /** The first rows of the input. */
  #input(rows: number): Tensor {
    return this.#tensor(this.#embedding.embeddings, 'float32', [1, rows, this.#width]);
  }

  #tensor(buffer: GPUBuffer, dataType: 'float32' | 'float16' | 'int32', dims: number[]): Tensor {
    return this.#ort.Tensor.fromGpuBuffer(buffer, { dataType, dims, dispose: () => buffer.destroy() });
  }
}

/** A promise that rejects when the signal aborts, until it is forgotten. */
function abortOf(signal: AbortSignal): { promise: Promise<never>; forget: () => void } {
  let forget = (): void => {};
  const promise = new Promise<never>((_, reject) => {
    const abort = (): void => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    forget = () => signal.removeEventListener('abort', abort);
  });
  // Nobody may be waiting when it aborts.
  promise.catch(() => {});
  return { promise, forget };
}
