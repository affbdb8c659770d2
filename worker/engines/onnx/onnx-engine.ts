import { asNearsightError, NearsightError } from '../../../src/protocol/errors.ts';
import type { ChatJob, Part } from '../../../src/protocol/job.ts';
import type { LoadPart, LoadRequest, ModelFacts } from '../../../src/protocol/calls.ts';
import type { ModelFile } from '../../../src/protocol/model-spec.ts';
import { Gpu } from '../../webgpu/gpu-device.ts';
import { type Choice, choicesFor, configBytes, graphBytes } from './select-device.ts';
import { GpuImageSplitter } from '../../webgpu/gpu-image-splitter.ts';
import { loadOrt, type Ort, threadsFor } from '../../onnx/ort.ts';
import type { Session } from '../../onnx/ort-session.ts';
import { liveTensors } from '../../onnx/tensor.ts';
import { LoadProgress } from './progress.ts';
import { readTogether } from './read-ahead.ts';
import type { Processor, Prompt } from '../../families/processor.ts';
import { openProcessor } from '../../families/registry.ts';
import { admit } from '../../generation/admission.ts';
import { generateChoice } from '../../generation/generate.ts';
import type { Decoder } from '../../generation/decoder.ts';
import { closeSessions, type Graphs, openDecoder, openGraphs, sessionsOf, stepsOf } from './load-graphs.ts';
import { withDeviceGuard } from '../../webgpu/device-guard.ts';
import { freshSeed } from '../../sampling/gumbel.ts';
import { sequenceOf } from '../../generation/prefix-entries.ts';
import { PrefixCache } from '../../generation/prefix-cache.ts';
import { checkBias } from '../../sampling/cpu-sampler.ts';
import { VisionEncoder } from '../../vision/vision-encoder.ts';
import { selfTestDecoder } from '../../self-test/decoder-self-test.ts';

/**
 * Tokens that room is made for at least, before an answer of open length: a few sentences. Longer ones find twice the
 * room each time that they come to its end. (The whole context of SmolVLM-256M takes 377 MB in float32.)
 */
const OPEN_ANSWER_TOKENS = 64;

const never = new AbortController().signal;

export interface OpenEngineOptions extends Omit<LoadRequest, 'waiting'> {
  /** Gives a file's bytes, verified, and counts them as they come, until `signal` aborts. */
  read: (file: ModelFile, onBytes: (count: number) => void, signal: AbortSignal) => Promise<Uint8Array>;
  /** Is told of downloads and preparation, up to the last step. */
  emit: (part: LoadPart) => void;
  signal: AbortSignal;
}

/** A model that is ready to answer. One call at a time; the caller queues. */
export interface Engine {
  readonly facts: ModelFacts;
  /** Resolves if the GPU device is lost. */
  readonly lost: Promise<NearsightError>;
  /**
   * Answers a job, sending parts as {@link Part} says.
   *
   * @throws NearsightError, or the signal's reason as soon as it aborts, within one step. After `gpu_error` and
   *   `device_lost` the model is of no more use, and neither is this worker's onnxruntime.
   */
  answer(job: ChatJob, emit: (part: Part) => void, signal: AbortSignal): Promise<void>;
  /** Drops what is kept of earlier requests. Not while one is being answered. */
  forget(): void;
  /** GPU buffers and tensors alive, the weights' aside. */
  gpuBuffers(): number;
  /** Frees all that it holds. Not while a job is being answered. */
  close(): Promise<void>;
}

/**
 * Opens a model: chooses device and variant, reads the files, creates the sessions, compiles the shaders. Where a GPU
 * gives no device or turns out to compute a variant wrongly, the next that can run here is opened instead, on wasm in
 * the end.
 *
 * @throws NearsightError `unsupported_device`, `load_failed`, or what `read` throws; the signal's reason on abort; as soon
 *   as the GPU fails, `gpu_error` or `device_lost`, after which this worker's onnxruntime is of no more use
 */
export async function openEngine(options: OpenEngineOptions): Promise<Engine> {
  try {
    return await openFirst(options, await choicesFor(options.spec, options.device));
  } catch (error) {
    if (error instanceof NearsightError || options.signal.aborted) throw error;
    const message = `${options.spec.id} could not be opened: ${asNearsightError(error).message}`;
    throw new NearsightError('load_failed', message, { cause: error });
  }
}

type ReadFile = (file: ModelFile, signal: AbortSignal) => Promise<Uint8Array>;

/** Opens the first of these that turns out to run here. */
async function openFirst(options: OpenEngineOptions, choices: [Choice, ...Choice[]]): Promise<Engine> {
  const { spec, signal } = options;
  const progress = new LoadProgress(options.emit);
  const read: ReadFile = (file, until) => options.read(file, (count) => progress.add(count), until);
  const plan = ({ device, variant }: Choice, more = 0): void =>
    progress.plan(graphBytes(variant) + more, stepsOf(device) + 1);
  plan(choices[0], configBytes(spec));
  const processor = openProcessor(await readTogether(spec.files, read, signal));
  const failed: string[] = [];
  let gpu: Gpu | undefined;
  for (const choice of choices) {
    const { device, variant } = choice;
    try {
      if (failed.length > 0) plan(choice);
      if (choice.device === 'webgpu') gpu ??= await Gpu.open(choice.adapter);
      else gpu = closed(gpu);
      const reason = [choice.reason, ...failed.map((each) => `failed there: ${each}`)].join('; ');
      const opening = { ...options, choice: { ...choice, reason }, processor, gpu, read, progress };
      return await withDeviceGuard(gpu?.fault, signal, (guard) => openOn({ ...opening, signal: guard }));
    } catch (error) {
      if (!(error instanceof NearsightError && error.code === 'unsupported_device')) {
        closed(gpu);
        throw error;
      }
      failed.push(`${device} ${variant.dtype}, ${error.message}`);
    }
  }
  closed(gpu);
  throw new NearsightError(
    'unsupported_device',
    `This GPU or its driver cannot run ${spec.id}, or computes it wrongly (${failed.join('; ')}). Update the driver or ` +
      "the browser, or use device 'wasm'.",
  );
}

function closed(gpu: Gpu | undefined): undefined {
  gpu?.close();
}

interface Opening extends Omit<OpenEngineOptions, 'read'> {
  choice: Choice;
  processor: Processor;
  gpu: Gpu | undefined;
  read: ReadFile;
  progress: LoadProgress;
}

async function openOn({ choice, processor, gpu, read, progress, signal, ...options }: Opening): Promise<Engine> {
  const { spec, assets } = options;
  const { variant, device } = choice;
  const threads = threadsFor(device, options.threads);
  const ort = await loadOrt(device, assets.ort, threads);
  const facts: ModelFacts = {
    model: spec.id,
    device,
    dtype: variant.dtype,
    contextLength: Math.min(spec.contextLength, processor.config.maxPositions),
    hardware: gpu?.hardware ?? `${threads} wasm thread${threads === 1 ? '' : 's'}`,
    reason: choice.reason,
  };
  const graphs = await openGraphs({
    ort,
    gpu,
    positions: facts.contextLength,
    encoderInputs: processor.encoderInputs,
    precision: variant.f16 ? 'float16' : 'float32',
    read: (graph, until) => read(variant[graph], until),
    onStep: () => progress.step(),
    signal,
  });
  let decoder: Decoder | undefined;
  try {
    if (graphs.remark !== undefined) facts.reason += `; ${graphs.remark}`;
    decoder = await openDecoder(ort, graphs, facts.contextLength, gpu);
    const model = new OnnxEngine({ ort, processor, facts, graphs, decoder, gpu });
    await model.selfTest(signal);
    progress.end();
    return model;
  } catch (error) {
    decoder?.close();
    await closeSessions(sessionsOf(graphs), gpu?.fault);
    throw error;
  }
}

interface ModelParts {
  ort: Ort;
  processor: Processor;
  facts: ModelFacts;
  graphs: Graphs;
  decoder: Decoder;
  gpu: Gpu | undefined;
}

class OnnxEngine implements Engine {
  readonly facts: ModelFacts;
  readonly lost: Promise<NearsightError>;
  readonly #processor: Processor;
  readonly #gpu: Gpu | undefined;
  readonly #vision: VisionEncoder;
  readonly #decoder: Decoder;
  readonly #prefixes: PrefixCache;
  readonly #sessions: readonly Session[];

  constructor({ ort, processor, facts, graphs, decoder, gpu }: ModelParts) {
    this.facts = facts;
    // Without a GPU there is none to lose.
    this.lost = gpu?.lost ?? new Promise(() => {});
    this.#processor = processor;
    this.#gpu = gpu;
    const splitter = gpu && new GpuImageSplitter(gpu.device);
    this.#vision = new VisionEncoder(ort, graphs.vision, processor.encoderInputs, gpu?.device.limits, splitter);
    this.#decoder = decoder;
    this.#sessions = sessionsOf(graphs);
    // No features are in use while room is made: they are encoded after it, and copied before an answer needs more.
    this.#prefixes = new PrefixCache(decoder, { evict: () => this.#vision.features.trim(0) });
  }

  /** Compiles and checks what runs on the GPU. On wasm there is nothing to compile, and the same code everywhere. */
  async selfTest(signal: AbortSignal): Promise<void> {
    if (!this.#gpu) return;
    const { vocab } = this.#processor.config;
    await selfTestDecoder(this.#decoder, vocab, signal);
    await this.#decoder.calibrate();
  }

  async answer(job: ChatJob, emit: (part: Part) => void, signal: AbortSignal): Promise<void> {
    try {
      await withDeviceGuard(this.#gpu?.fault, signal, (guard) => this.#answer(job, emit, guard));
    } finally {
      this.#vision.features.trim();
    }
  }

  forget(): void {
    this.#prefixes.forget();
    this.#vision.features.forget();
    this.#processor.forget();
  }

  gpuBuffers(): number {
    const setAside = this.#gpu ? this.#prefixes.snapshots.count : 0;
    return this.#decoder.buffers + setAside + liveTensors();
  }

  async close(): Promise<void> {
    const fault = this.#gpu?.fault;
    try {
      this.forget();
      this.#decoder.close();
      await withDeviceGuard(fault, never, () => closeSessions(this.#sessions, fault));
    } finally {
      closed(this.#gpu);
    }
  }

  async #answer(job: ChatJob, emit: (part: Part) => void, signal: AbortSignal): Promise<void> {
    const { tokenizer, config } = this.#processor;
    checkBias(job.sampling, config.vocab);
    const prompt = await this.#processor.encodeChat(job.turns, job.limits.pixels, job.cache, signal);
    const maxTokens = admit(prompt, job.maxTokens, this.facts.contextLength);
    const promptTokens = prompt.ids.length;
    try {
      const room = job.maxTokens ?? Math.min(maxTokens, OPEN_ANSWER_TOKENS);
      const cachedTokens = await this.#read(prompt, promptTokens + room, job.cache, signal);
      emit({ type: 'start', promptTokens, cachedTokens, device: this.facts.device });
      const opening = {
        decoder: this.#decoder,
        tokenizer,
        stopIds: config.stopIds,
        prompt: prompt.ids,
        maxTokens,
        seed: job.sampling.seed ?? freshSeed(),
        onToken: (id: number): void => this.#prefixes.append(id),
      };
      let completionTokens = 0;
      for (let choice = 0; choice < job.choices; choice++) {
        // Nothing is held any more, if memory ran out in the answer before.
        if (this.#decoder.length === 0) await this.#read(prompt, promptTokens + room, job.cache, signal);
        this.#prefixes.beginAnswer();
        completionTokens += await generateChoice(opening, job, choice, emit, signal);
      }
      emit({ type: 'usage', promptTokens, cachedTokens, completionTokens });
    } catch (error) {
      // Interrupted between two runs, what was read is sound. After anything else, who knows.
      if (!signal.aborted) this.#prefixes.drop();
      throw error;
    } finally {
      if (!job.cache) {
        this.#prefixes.drop();
        this.#vision.features.forget(prompt.images);
      }
    }
  }

  /** Reads what of a prompt was not read before. Returns how many positions were. */
  async #read(prompt: Prompt, positions: number, cache: boolean, signal: AbortSignal): Promise<number> {
    const { imageTokenId } = this.#processor;
    const sequence = sequenceOf(prompt, imageTokenId);
    const known = await this.#prefixes.begin(sequence, positions, cache);
    if (!cache) this.#vision.features.forget(prompt.images);
    const fresh = prompt.images.filter((_, index) => (sequence.images[index]?.end ?? 0) > known);
    const features = await this.#vision.encode(fresh, signal);
    await this.#decoder.prefill(prompt.ids.subarray(known), imageTokenId, features, signal);
    return known;
  }
}
