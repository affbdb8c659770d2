import type { NearsightError } from '../../../src/protocol/errors.ts';
import type { ModelFacts } from '../../../src/protocol/calls.ts';
import type { ChatJob, Part } from '../../../src/protocol/job.ts';
import type { Processor, Prompt } from '../../families/processor.ts';
import { admit } from '../../generation/admission.ts';
import type { Decoder } from '../../generation/decoder.ts';
import { generateChoice } from '../../generation/generate.ts';
import { PrefixCache } from '../../generation/prefix-cache.ts';
import { sequenceOf } from '../../generation/prefix-entries.ts';
import type { Grammar } from '../../grammar/grammar-chunk.ts';
import { loadGrammar } from '../../grammar/load-grammar.ts';
import type { Session } from '../../onnx/ort-session.ts';
import { liveTensors } from '../../onnx/tensor.ts';
import type { Ort } from '../../onnx/ort.ts';
import { freshSeed } from '../../sampling/gumbel.ts';
import { both, type TokenConstraint } from '../../sampling/token-constraint.ts';
import { checkTokenIds, constraintOf } from '../../sampling/token-rules.ts';
import { selfTestDecoder } from '../../self-test/decoder-self-test.ts';
import { replayFailure } from '../../self-test/replay-self-test.ts';
import { VisionEncoder } from '../../vision/vision-encoder.ts';
import { withDeviceGuard } from '../../webgpu/device-guard.ts';
import type { Gpu } from '../../webgpu/gpu-device.ts';
import { GpuImageSplitter } from '../../webgpu/gpu-image-splitter.ts';
import type { Engine } from '../engine.ts';
import { closeSessions, sessionsOf } from './load-graphs.ts';
import type { Graphs } from './open-decoder.ts';

/**
 * How many tokens are reserved at least, before an answer without `max_tokens`: a few sentences. Longer answers reserve
 * twice as much whenever they reach the end. (The whole context of SmolVLM-256M takes 377 MB in float32.)
 */
const OPEN_ANSWER_TOKENS = 64;

const never = new AbortController().signal;

/** What an engine is made of; it closes all of it. */
export interface ModelParts {
  ort: Ort;
  processor: Processor;
  facts: ModelFacts;
  graphs: Graphs;
  decoder: Decoder;
  gpu: Gpu | undefined;
}

/** A model on onnxruntime-web. */
export class OnnxEngine implements Engine {
  readonly facts: ModelFacts;
  readonly lost: Promise<NearsightError>;
  readonly #parts: Omit<ModelParts, 'graphs'>;
  readonly #sessions: readonly Session[];
  readonly #vision: VisionEncoder;
  readonly #prefixes: PrefixCache;
  #grammar: Grammar | undefined;

  constructor({ graphs, ...parts }: ModelParts) {
    const { ort, processor, facts, decoder, gpu } = parts;
    this.#parts = parts;
    // Only the sessions, because an embedding table is a view on its whole file, and a GPU has a copy of it.
    this.#sessions = sessionsOf(graphs);
    this.facts = facts;
    // Without a GPU there is none to lose.
    this.lost = gpu?.lost ?? new Promise(() => {});
    const splitter = gpu && new GpuImageSplitter(gpu.device);
    this.#vision = new VisionEncoder(ort, graphs.vision, processor.encoderInputs, gpu?.device.limits, splitter);
    // No features are in use while memory is reserved: they are encoded later, and copied before an answer needs more.
    this.#prefixes = new PrefixCache(decoder, { evict: () => this.#vision.features.trim(0) });
  }

  /** Compiles and checks what runs on the GPU. Wasm runs the same code on every device, so there is nothing to check. */
  async selfTest(signal: AbortSignal): Promise<void> {
    const { processor, decoder, gpu } = this.#parts;
    if (!gpu) return;
    if (decoder.replays) {
      const failure = await replayFailure(decoder, processor.config.vocab, signal);
      if (failure !== undefined) {
        decoder.replays = false;
        this.facts.reason += `; steps are not captured (${failure})`;
      }
    }
    await selfTestDecoder(decoder, processor.config.vocab, signal);
    await decoder.calibrate();
  }

  async answer(job: ChatJob, emit: (part: Part) => void, signal: AbortSignal): Promise<void> {
    try {
      await withDeviceGuard(this.#parts.gpu?.fault, signal, (guard) => this.#answer(job, emit, guard));
    } finally {
      this.#vision.features.trim();
    }
  }

  forget(): void {
    this.#prefixes.forget();
    this.#vision.features.forget();
    this.#parts.processor.forget();
    this.#grammar = undefined;
  }

  gpuBuffers(): number {
    const { decoder, gpu } = this.#parts;
    return decoder.buffers + (gpu ? this.#prefixes.snapshots.count : 0) + liveTensors();
  }

  async close(): Promise<void> {
    const { decoder, gpu } = this.#parts;
    try {
      this.forget();
      decoder.close();
      await withDeviceGuard(gpu?.fault, never, () => closeSessions(this.#sessions, gpu?.fault));
    } finally {
      gpu?.close();
    }
  }

  async #answer(job: ChatJob, emit: (part: Part) => void, signal: AbortSignal): Promise<void> {
    const { processor, decoder } = this.#parts;
    const { tokenizer, config } = processor;
    checkTokenIds(job, config.vocab);
    const constrain = await this.#constrain(job);
    const prompt = await processor.encodeChat(job.turns, job.limits.pixels, job.cache, signal);
    const maxTokens = admit(prompt, job.maxTokens, this.facts.contextLength, job.rules?.minTokens);
    const promptTokens = prompt.ids.length;
    try {
      const positions = promptTokens + (job.maxTokens ?? Math.min(maxTokens, OPEN_ANSWER_TOKENS));
      const cachedTokens = await this.#prefill(prompt, positions, job.cache, signal);
      const promptIds = job.tokenIds && [...prompt.ids];
      emit({ type: 'start', promptTokens, cachedTokens, device: this.facts.device, ...(promptIds && { promptIds }) });
      const request = {
        decoder,
        tokenizer,
        stopIds: config.stopIds,
        prompt: prompt.ids,
        maxTokens,
        seed: job.sampling.seed ?? freshSeed(),
        constrain,
        onToken: (id: number): void => this.#prefixes.append(id),
      };
      let completionTokens = 0;
      for (let choice = 0; choice < job.choices; choice++) {
        // The cache is empty if memory ran out in the answer before.
        if (decoder.length === 0) await this.#prefill(prompt, positions, job.cache, signal);
        this.#prefixes.beginAnswer();
        completionTokens += await generateChoice(request, job, choice, emit, signal);
      }
      emit({ type: 'usage', promptTokens, cachedTokens, completionTokens });
    } catch (error) {
      // Aborts are only handled between runs, so the cache is valid. After any other error it may not be.
      if (!signal.aborted) this.#prefixes.drop();
      throw error;
    } finally {
      if (!job.cache) {
        this.#prefixes.drop();
        this.#vision.features.forget(prompt.images);
      }
    }
  }

  /** What limits the tokens of each answer. */
  async #constrain({ constraint, rules = {}, cache }: ChatJob): Promise<(() => TokenConstraint) | undefined> {
    const { tokenizer, config } = this.#parts.processor;
    const encode = (text: string): number[] => tokenizer.encode(text);
    const ruled = constraintOf(rules, { ...config, encode });
    if (!constraint) return ruled;
    const { Grammar } = await loadGrammar();
    const vocabulary = { bytes: (id: number) => tokenizer.bytes(id), encode, stopIds: config.stopIds };
    this.#grammar ??= new Grammar(vocabulary, config.vocab);
    const held = this.#grammar.open(constraint, cache);
    return ruled ? () => both(held(), ruled()) : held;
  }

  /**
   * Reads the part of a prompt that is not in the prefix cache.
   *
   * @returns how many positions were in it
   */
  async #prefill(prompt: Prompt, positions: number, cache: boolean, signal: AbortSignal): Promise<number> {
    const { decoder, processor } = this.#parts;
    const { imageTokenId } = processor;
    const sequence = sequenceOf(prompt, imageTokenId);
    const cached = await this.#prefixes.begin(sequence, positions, cache);
    if (!cache) this.#vision.features.forget(prompt.images);
    const unread = prompt.images.filter((_, index) => (sequence.images[index]?.end ?? 0) > cached);
    const features = await this.#vision.encode(unread, signal);
    await decoder.prefill(prompt.ids.subarray(cached), imageTokenId, features, signal);
    return cached;
  }
}
