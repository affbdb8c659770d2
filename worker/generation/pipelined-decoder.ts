import { race } from '../../src/async/race.ts';
import { yieldToEvents } from '../../src/async/yield-to-events.ts';
import type { Embedder } from '../backend/embedder.ts';
import type { KvCache } from '../backend/kv-cache.ts';
import type { TensorMemory } from '../backend/tensor-memory.ts';
import type { TokenReadback } from '../backend/token-readback.ts';
import type { AnswerSampler, LogitsRow, TokenSampler } from '../backend/token-sampler.ts';
import { INPUTS_EMBEDS, LOGITS, SEQLENS_K, TOTAL_LENGTH } from '../onnx/decoder-ports.ts';
import { kvLayout } from '../onnx/kv-layout.ts';
import type { Ort, Tensor } from '../onnx/ort.ts';
import type { BoundRun, Session, Tensors } from '../onnx/ort-session.ts';
import type { SampledToken } from '../sampling/cpu-sampler.ts';
import type { Decoder, SamplingRequest } from './decoder.ts';
import { featureMerger } from './merge-features.ts';
import { type BatchRange, PipelinedAnswer, type PipelinedSteps } from './pipelined-sampling.ts';
import { ReadbackScheduler } from './readback-scheduler.ts';
import { sampleOnCpu } from './sample-on-cpu.ts';

/** Assumed duration of a step before any was timed. */
const UNKNOWN_MS = 50;

/** Steps that are timed together, unless a single one takes {@link SLOW_MS}. */
const TIMED_STEPS = 8;
const SLOW_MS = 150;

export interface PipelinedDecoderOptions {
  ort: Ort;
  device: GPUDevice;
  session: Session;
  logits: LogitsRow;
  memory: TensorMemory;
  /** Maximum number of positions in a sequence. */
  positions: number;
  sampler: TokenSampler;
  /** Embeds the token that {@link sampler} sampled. */
  embedder: Embedder;
  readback: TokenReadback;
  /** Maximum number of prompt rows to read at once. */
  maxRows: number;
  /** Milliseconds that a readback takes when the GPU is idle. */
  latency: number;
}

/**
 * A decoder that keeps sampled tokens on the GPU: our kernels sample from the logits, embed the token into the input of
 * the next step and count the position, so steps are submitted without waiting for a readback. Token ids are read back
 * several steps later.
 *
 * Tensors stay the same from step to step until the KV cache grows. Their buffers are read and written by run after run,
 * in queue order.
 */
export class PipelinedDecoder implements Decoder, PipelinedSteps {
  readonly precision: 'float32' | 'float16';
  readonly kv: KvCache;
  replays: boolean;
  readonly #parts: PipelinedDecoderOptions;
  #scheduler: ReadbackScheduler;
  /** Positions after the run, for graphs that read it from CPU memory: those whose steps are not captured. */
  readonly #totalLength = new Int32Array(1);
  /** The prompt's logits are kept for further answers to it, so steps write to a row of their own. */
  readonly #promptLogits: Tensor;
  readonly #stepLogits: Tensor;
  #logits: Tensor;
  #promptLength = 0;
  #kvFeeds: Tensors | undefined;
  #feeds: Tensors = {};
  #promptTargets: Tensors = {};
  #stepTargets: Tensors = {};
  /** The step as it was captured on the current buffers. */
  #captured: BoundRun | undefined;

  constructor(options: PipelinedDecoderOptions) {
    const { session, logits, memory, positions, latency, sampler } = options;
    this.#parts = options;
    const layout = kvLayout(session);
    this.precision = layout.type;
    this.replays = session.capturing;
    this.kv = memory.cache(layout, positions);
    this.#scheduler = new ReadbackScheduler(latency, UNKNOWN_MS);
    const row = (label: string): Tensor => this.#tensor(sampler.createLogits(label), logits.type, [1, 1, logits.vocab]);
    this.#promptLogits = row('prompt logits');
    this.#stepLogits = row('step logits');
    this.#logits = this.#promptLogits;
  }

  get length(): number {
    return this.kv.length;
  }

  async reset(positions: number, kept = 0): Promise<void> {
    await this.kv.reserve(positions, kept);
    this.#bind();
    this.#parts.embedder.setLength(kept);
  }

  /** Makes feeds and targets from the current buffers, if they are other ones. */
  #bind(): void {
    const kvFeeds = this.kv.feeds();
    if (kvFeeds === this.#kvFeeds) return;
    this.#kvFeeds = kvFeeds;
    const { session, embedder, ort } = this.#parts;
    this.#feeds = {
      ...kvFeeds,
      [INPUTS_EMBEDS]: this.#embeddings(1),
      [SEQLENS_K]: this.#tensor(embedder.lastPosition, 'int32', [1]),
      [TOTAL_LENGTH]: session.capturing
        ? this.#tensor(embedder.totalLength, 'int32', [1])
        : new ort.Tensor('int32', this.#totalLength, [1]),
    };
    this.#promptTargets = { ...this.kv.targets(), [LOGITS]: this.#promptLogits };
    this.#stepTargets = { ...this.kv.targets(), [LOGITS]: this.#stepLogits };
    this.#dropCaptured();
  }

  #dropCaptured(): void {
    // A failed release leaks a little; what fails then also fails the next run.
    void this.#captured?.release().catch(() => {});
    this.#captured = undefined;
  }

  async calibrate(): Promise<void> {
    await this.reset(TIMED_STEPS + 1);
    const time = async (steps: number): Promise<number> => {
      const started = performance.now();
      for (let step = 0; step < steps; step++) await this.step(0);
      await this.logits();
      return (performance.now() - started) / steps;
    };
    const single = await time(1);
    this.#scheduler = new ReadbackScheduler(this.#parts.latency, single < SLOW_MS ? await time(TIMED_STEPS) : single);
  }

  async prefill(
    ids: Int32Array,
    imageTokenId: number,
    features: readonly Tensor[],
    signal: AbortSignal,
  ): Promise<void> {
    const { device, embedder, maxRows } = this.#parts;
    const merge = featureMerger(features, imageTokenId);
    let previous: Promise<unknown> = Promise.resolve();
    let last = previous;
    for (let start = 0; start < ids.length; start += maxRows) {
      // Runs return before the GPU has finished, and an abort cannot undo what is queued: at most two are in flight.
      await race(previous, signal);
      await yieldToEvents(signal);
      const chunk = ids.slice(start, start + maxRows);
      this.#submit((encoder) => {
        embedder.embedTokens(encoder, chunk);
        merge(chunk, (...range) => embedder.copyRows(encoder, ...range));
      });
      embedder.setLength(this.length + chunk.length);
      const feeds = { ...this.#feeds, [INPUTS_EMBEDS]: this.#embeddings(chunk.length) };
      await this.#run(feeds, this.#promptTargets, chunk.length);
      this.kv.advance(chunk.length, {});
      previous = last;
      // A lost device is reported elsewhere.
      last = device.queue.onSubmittedWorkDone().catch(() => {});
    }
    signal.throwIfAborted();
    this.#logits = this.#promptLogits;
    this.#promptLength = this.length;
  }

  async read(ids: Int32Array, signal: AbortSignal): Promise<void> {
    for (let start = 0; start < ids.length; start += this.#parts.maxRows) {
      const chunk = ids.slice(start, start + this.#parts.maxRows);
      signal.throwIfAborted();
      if (chunk.length === 1) await this.step(chunk[0] ?? 0);
      else await this.#readChunk(chunk);
    }
  }

  async #readChunk(ids: Int32Array<ArrayBuffer>): Promise<void> {
    const { embedder } = this.#parts;
    while (this.length + ids.length > this.kv.capacity) {
      await this.kv.grow();
      this.#bind();
    }
    this.#submit((encoder) => embedder.embedTokens(encoder, ids));
    embedder.setLength(this.length + ids.length);
    await this.#run({ ...this.#feeds, [INPUTS_EMBEDS]: this.#embeddings(ids.length) }, this.#stepTargets, ids.length);
    this.kv.advance(ids.length, {});
    this.#logits = this.#stepLogits;
  }

  async step(id: number): Promise<void> {
    this.#parts.device.queue.writeBuffer(this.#parts.sampler.sampled, 0, Uint32Array.of(id));
    this.#submit((encoder) => {
      const pass = encoder.beginComputePass();
      this.#parts.embedder.embedSampled(pass);
      pass.end();
    });
    await this.runStep();
  }

  logits(): Promise<Float32Array> {
    return this.#parts.memory.readRow(this.#logits, 0);
  }

  sample(request: SamplingRequest, signal: AbortSignal): AsyncGenerator<SampledToken, void> {
    const { sampling, prompt, choice, topLogprobs } = request;
    const start = this.#promptLength;
    this.#rewind(start);
    this.#logits = this.#promptLogits;
    const { sampler: samplers, readback } = this.#parts;
    const sampler = samplers.begin(sampling, prompt, choice, topLogprobs);
    if (!sampler) return sampleOnCpu(this, request, signal);
    const answer = new PipelinedAnswer({ steps: this, readback, sampler, scheduler: this.#scheduler }, request);
    // Positions beyond the last token read back belong to no answer.
    return answer.sample((tokens) => this.kv.rewind(Math.min(this.length, start + tokens)), signal);
  }

  async restart(answer: AnswerSampler, tokens: readonly number[], unread: number, signal: AbortSignal): Promise<void> {
    answer.resume(tokens);
    this.#rewind(this.#promptLength + tokens.length - unread);
    if (unread > 0) await this.read(Int32Array.from(tokens.slice(-unread)), signal);
    else this.#logits = this.#promptLogits;
  }

  #rewind(length: number): void {
    this.kv.rewind(length);
    this.#parts.embedder.setLength(length);
  }

  clear(): void {
    // A captured step belongs to its buffers.
    if (this.replays) this.kv.erase();
    else this.kv.clear();
    this.#submit((encoder) => {
      this.#parts.embedder.clear(encoder);
      this.#parts.sampler.clear(encoder);
    });
  }

  get buffers(): number {
    const { sampler, embedder, readback, memory } = this.#parts;
    return sampler.buffers + embedder.buffers + readback.buffers + memory.buffers();
  }

  close(): void {
    this.#dropCaptured();
    const { sampler, embedder, readback, memory } = this.#parts;
    for (const part of [sampler, embedder, readback, memory]) part.close();
  }

  /** One command buffer: samples from the current logits, embeds the token for the next step, copies a batch to read. */
  submitSampling(answer: AnswerSampler, mask: Uint32Array | undefined, stepFollows: boolean, batch?: BatchRange): void {
    const { sampler, embedder, readback } = this.#parts;
    this.#submit((encoder) => {
      const pass = encoder.beginComputePass();
      answer.encode(pass, this.#logits.gpuBuffer, mask);
      if (stepFollows) embedder.embedSampled(pass);
      pass.end();
      if (batch) readback.copy(encoder, sampler.ring, batch.from, batch.to, answer.entryBytes);
    });
    readback.send();
  }

  /** Reads the embedded token. Grows the KV cache first if it is full; steps in flight are not disturbed. */
  async runStep(): Promise<void> {
    if (this.length === this.kv.capacity) {
      await this.kv.grow();
      this.#bind();
    }
    // Not before the first step: a session has a limited number.
    if (this.replays) this.#captured ??= this.#parts.session.captured(this.#feeds, this.#stepTargets);
    try {
      if (this.replays && this.#captured) await this.#captured.run();
      else await this.#run(this.#feeds, this.#stepTargets, 1);
    } catch (error) {
      // onnxruntime would replay as much as it had captured.
      this.#dropCaptured();
      throw error;
    }
    this.kv.advance(1, {});
    this.#logits = this.#stepLogits;
  }

  async #run(feeds: Tensors, targets: Tensors, count: number): Promise<void> {
    this.#totalLength[0] = this.length + count;
    await this.#parts.session.runInto(feeds, targets);
  }

  /** The first rows of the decoder's input. */
  #embeddings(rows: number): Tensor {
    return this.#tensor(this.#parts.embedder.embeddings, 'float32', [1, rows, this.#parts.embedder.width]);
  }

  #tensor(buffer: GPUBuffer, dataType: 'float32' | 'float16' | 'int32', dims: number[]): Tensor {
    return this.#parts.ort.Tensor.fromGpuBuffer(buffer, { dataType, dims });
  }

  #submit(encode: (encoder: GPUCommandEncoder) => void): void {
    const encoder = this.#parts.device.createCommandEncoder();
    encode(encoder);
    this.#parts.device.queue.submit([encoder.finish()]);
  }
}
