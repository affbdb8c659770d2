import { NearsightError } from '../../src/protocol/errors.ts';
import type { Embedder } from '../backend/embedder.ts';
import type { TokenReadback } from '../backend/token-readback.ts';
import type { AnswerSampler, LogitsRow, TokenSampler } from '../backend/token-sampler.ts';
import type { Ort, Tensor } from '../onnx/ort.ts';
import type { Session, Tensors } from '../onnx/ort-session.ts';
import { SEQLENS_K, TOTAL_LENGTH } from '../onnx/optimize/feed-lengths.ts';
import { type Decoder, type SamplingRequest, sampleOnCpu } from './decoder.ts';
import { FeatureMerger } from './merge-features.ts';
import { type KvCache, kvLayout } from '../backend/kv-cache.ts';
import type { TensorMemory } from '../backend/tensor-memory.ts';
import { ONE_BY_ONE, ReadbackScheduler } from './readback-scheduler.ts';
import { race } from '../../src/async/race.ts';
import { yieldToEvents } from '../../src/async/yield-to-events.ts';
import type { SampledToken } from '../sampling/cpu-sampler.ts';

/** What a step is taken to last before any was timed. */
const UNKNOWN_MS = 50;

/** Steps that are timed together, unless one alone takes {@link SLOW_MS}. */
const TIMED_STEPS = 8;
const SLOW_MS = 150;

export interface PipelinedDecoderOptions {
  ort: Ort;
  device: GPUDevice;
  session: Session;
  logits: LogitsRow;
  memory: TensorMemory;
  /** Most positions that a sequence will have. */
  positions: number;
  sampler: TokenSampler;
  /** Embeds what {@link sampler} sampled. */
  embedder: Embedder;
  readback: TokenReadback;
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
 * Tensors stay the same from step to step, until keys and values outgrow their room; their buffers are fed and written
 * run after run, in the order of the queue.
 */
export class PipelinedDecoder implements Decoder {
  readonly precision: 'float32' | 'float16';
  readonly kv: KvCache;
  readonly #ort: Ort;
  readonly #device: GPUDevice;
  readonly #session: Session;
  readonly #memory: TensorMemory;
  readonly #sampler: TokenSampler;
  readonly #embedder: Embedder;
  readonly #readback: TokenReadback;
  readonly #latency: number;
  #scheduler: ReadbackScheduler;
  readonly #maxRows: number;
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

  constructor(options: PipelinedDecoderOptions) {
    const { ort, device, session, logits, memory, positions, latency } = options;
    this.#ort = ort;
    this.#device = device;
    this.#session = session;
    this.#memory = memory;
    this.#sampler = options.sampler;
    this.#embedder = options.embedder;
    this.#readback = options.readback;
    this.#maxRows = options.mostRows;
    const layout = kvLayout(session);
    this.precision = layout.type;
    this.kv = memory.cache(layout, positions);
    this.#latency = latency;
    this.#scheduler = new ReadbackScheduler(latency, UNKNOWN_MS);
    const row = (label: string): Tensor => this.#tensor(options.sampler.row(label), logits.type, [1, 1, logits.vocab]);
    this.#promptLogits = row('logits after the prompt');
    this.#stepLogits = row('logits');
    this.#logits = this.#promptLogits;
  }

  get length(): number {
    return this.kv.length;
  }

  async reset(positions: number, kept = 0): Promise<void> {
    await this.kv.reserve(positions, kept);
    this.#bind();
  }

  /** Feeds and targets, on the buffers that there are now. */
  #bind(): void {
    this.#feeds = {
      ...this.kv.feeds(),
      inputs_embeds: this.#input(1),
      [SEQLENS_K]: this.#tensor(this.#embedder.last, 'int32', [1]),
      [TOTAL_LENGTH]: new this.#ort.Tensor('int32', this.#total, [1]),
    };
    this.#promptTargets = { ...this.kv.targets(), logits: this.#promptLogits };
    this.#stepTargets = { ...this.kv.targets(), logits: this.#stepLogits };
  }

  async calibrate(): Promise<void> {
    await this.reset(TIMED_STEPS + 1);
    this.#embedder.setLength(0);
    const time = async (steps: number): Promise<number> => {
      const started = performance.now();
      for (let step = 0; step < steps; step++) await this.step(0);
      await this.logits();
      return (performance.now() - started) / steps;
    };
    const alone = await time(1);
    this.#scheduler = new ReadbackScheduler(this.#latency, alone < SLOW_MS ? await time(TIMED_STEPS) : alone);
  }

  async prefill(
    ids: Int32Array,
    imageTokenId: number,
    features: readonly Tensor[],
    signal: AbortSignal,
  ): Promise<void> {
    if (ids.length === 0) throw new NearsightError('invalid_request', 'The prompt is empty.');
    const rows = new FeatureMerger(features);
    let before: Promise<unknown> = Promise.resolve();
    let last = before;
    for (let start = 0; start < ids.length; start += this.#maxRows) {
      // Runs return before they are done, and an abort could not take back what is queued: no more than two at a time.
      await race(before, signal);
      await yieldToEvents(signal);
      const chunk = ids.slice(start, start + this.#maxRows);
      const encoder = this.#device.createCommandEncoder();
      this.#embedder.embedTokens(encoder, chunk);
      rows.merge(chunk, imageTokenId, (...range) => this.#embedder.copyRows(encoder, ...range));
      this.#device.queue.submit([encoder.finish()]);
      this.#embedder.setLength(this.length + chunk.length);
      await this.#run({ ...this.#feeds, inputs_embeds: this.#input(chunk.length) }, this.#promptTargets, chunk.length);
      before = last;
      // A device that is lost says so elsewhere.
      last = this.#device.queue.onSubmittedWorkDone().catch(() => {});
    }
    signal.throwIfAborted();
    this.#logits = this.#promptLogits;
    this.#promptLength = this.length;
  }

  async step(id: number): Promise<void> {
    this.#device.queue.writeBuffer(this.#sampler.sampled, 0, Uint32Array.of(id));
    const encoder = this.#device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    this.#embedder.embedSampled(pass);
    pass.end();
    this.#device.queue.submit([encoder.finish()]);
    await this.#runStep();
  }

  logits(): Promise<Float32Array> {
    return this.#memory.readRow(this.#logits, 0);
  }

  sample(drawing: SamplingRequest, signal: AbortSignal): AsyncGenerator<SampledToken, void> {
    const { sampling, prompt, choice, topLogprobs } = drawing;
    this.kv.rewind(this.#promptLength);
    this.#embedder.setLength(this.#promptLength);
    this.#logits = this.#promptLogits;
    const draws = this.#sampler.begin(sampling, prompt, choice, topLogprobs);
    return draws ? this.#samplePipelined(draws, drawing, signal) : sampleOnCpu(this, drawing, signal);
  }

  clear(): void {
    this.kv.clear();
    const encoder = this.#device.createCommandEncoder();
    this.#embedder.clear(encoder);
    this.#sampler.clear(encoder);
    for (const { gpuBuffer } of [this.#promptLogits, this.#stepLogits]) encoder.clearBuffer(gpuBuffer);
    this.#device.queue.submit([encoder.finish()]);
  }

  get buffers(): number {
    // Two rows of logits.
    const own = 2 + this.#sampler.buffers + this.#embedder.buffers + this.#readback.buffers;
    return own + this.#memory.buffers();
  }

  close(): void {
    this.#sampler.close();
    this.#embedder.close();
    this.#readback.close();
    this.#promptLogits.dispose();
    this.#stepLogits.dispose();
    this.#memory.close();
  }

  /**
   * Submits draws and the steps between them ahead of what has been read, as far as the pace says. With a constraint a draw
   * waits for the token before it; the step that reads that token does not, so its mask is made while the GPU works.
   */
  async *#samplePipelined(
    draws: AnswerSampler,
    drawing: SamplingRequest,
    signal: AbortSignal,
  ): AsyncGenerator<SampledToken, void> {
    const { limit, constraint } = drawing;
    const pace = constraint ? ONE_BY_ONE : this.#scheduler;
    const readback = this.#readback;
    const start = this.length;
    const words = draws.entryBytes / 4;
    let submitted = 0;
    let sent = 0;
    let read = 0;
    let held = false;
    pace.begin();
    try {
      while (read < limit) {
        const more =
          submitted < limit &&
          readback.hasFreeBuffer &&
          (submitted - read < pace.maxInFlight || readback.pending === 0);
        if (more) {
          await yieldToEvents(signal);
          submitted++;
          const full =
            submitted - sent >= pace.batchSize || submitted === limit || submitted - read >= pace.maxInFlight;
          const lot = full ? { from: sent, to: submitted } : undefined;
          this.#submitSampling(draws, constraint?.mask(), submitted < limit, lot);
          if (lot) {
            sent = submitted;
            pace.sent();
          }
          if (submitted < limit) await this.#runStep();
          held = false;
        } else {
          await race(readback.oldest(), signal);
          held = submitted < limit;
        }
        for (let lot = readback.take(); lot; lot = readback.take()) {
          pace.arrived(lot.length / words, performance.now());
          for (let at = 0; at < lot.length; at += words) {
            signal.throwIfAborted();
            read++;
            const drawn = draws.read(lot.subarray(at, at + words));
            constraint?.accept(drawn.id);
            yield drawn;
          }
        }
        if (held && read === submitted) pace.reportIdle();
      }
    } finally {
      readback.abandon();
      // What was read beyond the last token taken is of no answer.
      this.kv.rewind(Math.min(this.length, start + read));
    }
  }

  /** One command buffer: a draw from the logits that are there, its id fed to the step that follows, a lot read back. */
  #submitSampling(
    draws: AnswerSampler,
    mask: Uint32Array | undefined,
    steps: boolean,
    lot: { from: number; to: number } | undefined,
  ): void {
    const encoder = this.#device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    draws.encode(pass, this.#logits.gpuBuffer, mask);
    if (steps) this.#embedder.embedSampled(pass);
    pass.end();
    if (lot) this.#readback.copy(encoder, this.#sampler.ring, lot.from, lot.to, draws.entryBytes);
    this.#device.queue.submit([encoder.finish()]);
    this.#readback.send();
  }

  /** Reads what was fed. Where no room is left, more is made, behind the steps that are under way. */
  async #runStep(): Promise<void> {
    if (this.length === this.kv.capacity) {
      await this.kv.grow();
      this.#bind();
    }
    await this.#run(this.#feeds, this.#stepTargets, 1);
  }

  async #run(feeds: Tensors, into: Tensors, count: number): Promise<void> {
    this.#total[0] = this.length + count;
    await this.#session.runInto(feeds, into);
    this.kv.advance(count, {});
    this.#logits = this.#stepLogits;
  }

  /** The first rows of the input. */
  #input(rows: number): Tensor {
    return this.#tensor(this.#embedder.embeddings, 'float32', [1, rows, this.#embedder.width]);
  }

  #tensor(buffer: GPUBuffer, dataType: 'float32' | 'float16' | 'int32', dims: number[]): Tensor {
    return this.#ort.Tensor.fromGpuBuffer(buffer, { dataType, dims, dispose: () => buffer.destroy() });
  }
}
