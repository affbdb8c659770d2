import { NearsightError } from '../../../src/protocol/errors.ts';
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
import { liveTensors } from '../../onnx/tensor.ts';
import { freshSeed } from '../../sampling/gumbel.ts';
import { both, type TokenConstraint } from '../../sampling/token-constraint.ts';
import { checkTokenIds, constraintOf } from '../../sampling/token-rules.ts';
import type { VisionEncoder } from '../../vision/vision-encoder.ts';
import { withDeviceGuard } from '../../webgpu/device-guard.ts';
import type { Gpu } from '../../webgpu/gpu-device.ts';
import type { Engine } from '../engine.ts';

/**
 * How many tokens are reserved at least, before an answer without `max_tokens`: a few sentences. Longer answers reserve
 * twice as much whenever they reach the end. (The whole context of SmolVLM-256M takes 377 MB in float32.)
 */
const OPEN_ANSWER_TOKENS = 64;

const never = new AbortController().signal;

/** What an engine is made of; it closes all of it. */
export interface ChatParts {
  processor: Processor;
  decoder: Decoder;
  vision: VisionEncoder;
  facts: ModelFacts;
  gpu: Gpu | undefined;
  /** Frees the weights. */
  close: () => Promise<void>;
}

/**
 * Answers jobs with a model's parts, whatever runs them: so every engine admits, constrains, counts, aborts and forgets in
 * the same way.
 */
export class ChatEngine implements Engine {
  readonly facts: ModelFacts;
  readonly lost: Promise<NearsightError>;
  readonly #parts: ChatParts;
  readonly #prefixes: PrefixCache;
  #grammar: Grammar | undefined;
  /** The trap that ended an earlier answer: the heap cannot be trusted after it. */
  #crash: NearsightError | undefined;

  constructor(parts: ChatParts) {
    const { facts, decoder, vision, gpu } = parts;
    this.#parts = parts;
    this.facts = facts;
    // Without a GPU there is none to lose.
    this.lost = gpu?.lost ?? new Promise(() => {});
    // No features are in use while memory is reserved: they are encoded later, and copied before an answer needs more.
    this.#prefixes = new PrefixCache(decoder, { evict: () => vision.features.trim(0) });
  }

  async answer(job: ChatJob, emit: (part: Part) => void, signal: AbortSignal): Promise<void> {
    // If that answer was aborted, its error was not delivered.
    if (this.#crash) throw this.#crash;
    try {
      await withDeviceGuard(this.#parts.gpu?.fault, signal, (guard) => this.#answer(job, emit, guard));
    } catch (error) {
      if (!(error instanceof WebAssembly.RuntimeError)) throw error;
      const message = `ONNX Runtime crashed: ${error.message}. The next request starts a new worker.`;
      this.#crash = new NearsightError('worker_crashed', message, { cause: error });
      throw this.#crash;
    } finally {
      this.#parts.vision.features.trim();
    }
  }

  forget(): void {
    this.#prefixes.forget();
    this.#parts.vision.features.forget();
    this.#parts.processor.forget();
    this.#grammar = undefined;
  }

  gpuBuffers(): number {
    return this.#parts.decoder.buffers + liveTensors();
  }

  async close(): Promise<void> {
    const { decoder, gpu } = this.#parts;
    try {
      this.forget();
      decoder.close();
      await withDeviceGuard(gpu?.fault, never, this.#parts.close);
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
        this.#parts.vision.features.forget(prompt.images);
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
    if (!cache) this.#parts.vision.features.forget(prompt.images);
    const unread = prompt.images.filter((_, index) => (sequence.images[index]?.end ?? 0) > cached);
    const features = await this.#parts.vision.encode(unread, signal);
    decoder.plan?.(prompt);
    await decoder.prefill(prompt.ids.subarray(cached), imageTokenId, features, signal);
    return cached;
  }
}
