import { NearsightError } from '../../src/wire/error.ts';
import type { ChatJob, Part } from '../../src/wire/job.ts';
import type { Assets, ModelFacts } from '../../src/wire/runtime.ts';
import type { Device, ModelFile, ModelSpec } from '../../src/wire/spec.ts';
import { Gpu } from '../gpu/device.ts';
import { chooseDevice } from '../gpu/probe.ts';
import { GpuViews } from '../gpu/views.ts';
import { loadOrt, type Ort, threadsFor } from '../onnx/ort.ts';
import { liveTensors, type Session } from '../onnx/session.ts';
import type { Family, Prompt } from '../vlm/family.ts';
import { openFamily } from '../vlm/idefics3.ts';
import { admit } from './admit.ts';
import { answerOne } from './answer.ts';
import type { Decoder } from './decoder.ts';
import { type Graphs, openDecoder, openGraphs, sessionsOf } from './graphs.ts';
import { freshSeed } from './noise.ts';
import { sequenceOf } from './prefix.ts';
import { PrefixCache } from './prefix-cache.ts';
import { checkBias } from './sampler.ts';
import { Vision } from './vision.ts';
import { framesPerRun, proveKernels } from './prove.ts';

export interface OpenOptions {
  spec: ModelSpec;
  device: Device | 'auto';
  assets: Assets;
  /** Most threads that wasm may use. */
  threads?: number | undefined;
  /** Gives a file's bytes, verified. */
  read: (file: ModelFile) => Promise<Uint8Array>;
  /** Reports preparation, once the files are here: `done` of `of` steps. */
  onStep: (done: number, of: number) => void;
  signal: AbortSignal;
}

/** How long to wait, after an error that nobody expected, for the GPU to say that it is at fault: Firefox takes its time. */
const ANNOUNCED_MS = 1000;

/** A model that is ready to answer. One call at a time; the caller queues. */
export interface Model {
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
  dispose(): Promise<void>;
}

/**
 * Opens a model: chooses device and variant, reads the files, creates the sessions, compiles the shaders.
 *
 * @throws NearsightError `unsupported_device`, `load_failed`, or what `read` throws; the signal's reason on abort
 */
export async function openModel(options: OpenOptions): Promise<Model> {
  const { spec, assets, signal } = options;
  const choice = await chooseDevice(spec, options.device);
  const threads = threadsFor(choice.device, options.threads);
  const ort = await loadOrt(choice.device, assets.ort, threads);
  const gpu = choice.device === 'webgpu' ? await Gpu.open(choice.adapter) : undefined;
  let graphs: Graphs | undefined;
  try {
    const family = openFamily(await readAll(options));
    const { variant } = choice;
    let done = 0;
    const facts: ModelFacts = {
      model: spec.id,
      device: choice.device,
      dtype: variant.dtype,
      contextLength: Math.min(spec.contextLength, family.config.maxPositions),
      hardware: gpu?.hardware ?? `${threads} wasm thread${threads === 1 ? '' : 's'}`,
    };
    graphs = await openGraphs({
      ort,
      gpu,
      positions: facts.contextLength,
      view: family.view,
      read: async (graph) => {
        const bytes = await options.read(variant[graph]);
        signal.throwIfAborted();
        return bytes;
      },
      onOpened: () => options.onStep(++done, 4),
    });
    const decoder = await openDecoder(ort, graphs, gpu);
    const model = new OpenedModel({ ort, family, facts, graphs, decoder, gpu });
    await model.prove(signal);
    options.onStep(++done, 4);
    return model;
  } catch (error) {
    if (graphs) for (const session of sessionsOf(graphs)) await session.close();
    gpu?.close();
    throw error;
  }
}

async function readAll({ spec, read }: OpenOptions): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for (const file of spec.files) files.set(file.path, await read(file));
  return files;
}

interface Opened {
  ort: Ort;
  family: Family;
  facts: ModelFacts;
  graphs: Graphs;
  decoder: Decoder;
  gpu: Gpu | undefined;
}

class OpenedModel implements Model {
  readonly facts: ModelFacts;
  readonly lost: Promise<NearsightError>;
  readonly #family: Family;
  readonly #sessions: readonly Session[];
  readonly #gpu: Gpu | undefined;
  readonly #vision: Vision;
  readonly #decoder: Decoder;
  readonly #prefixes: PrefixCache;

  constructor({ ort, family, facts, graphs, decoder, gpu }: Opened) {
    this.facts = facts;
    // Without a GPU there is none to lose.
    this.lost = gpu?.lost ?? new Promise(() => {});
    this.#family = family;
    this.#sessions = sessionsOf(graphs);
    this.#gpu = gpu;
    const frames = (size: number): number => framesPerRun(size, gpu?.device.limits);
    this.#vision = new Vision(ort, graphs.vision, frames, gpu && new GpuViews(gpu.device));
    this.#decoder = decoder;
    this.#prefixes = new PrefixCache(decoder);
  }

  /** Compiles and checks what runs on the GPU. On wasm there is nothing to compile, and the same code everywhere. */
  async prove(signal: AbortSignal): Promise<void> {
    if (!this.#gpu) return;
    const { vocab } = this.#family.config;
    await this.#guarded(signal, async (guard) => {
      await proveKernels(this.#decoder, vocab, guard);
      await this.#decoder.calibrate();
    });
  }

  async answer(job: ChatJob, emit: (part: Part) => void, signal: AbortSignal): Promise<void> {
    try {
      await this.#guarded(signal, (guard) => this.#answer(job, emit, guard));
    } finally {
      this.#vision.trim();
    }
  }

  forget(): void {
    this.#prefixes.forget();
    this.#vision.forget();
  }

  gpuBuffers(): number {
    const setAside = this.#gpu ? this.#prefixes.kept.count : 0;
    return this.#decoder.buffers + setAside + liveTensors();
  }

  async dispose(): Promise<void> {
    this.forget();
    this.#decoder.close();
    for (const session of this.#sessions) await session.close();
    this.#gpu?.close();
  }

  async #answer(job: ChatJob, emit: (part: Part) => void, signal: AbortSignal): Promise<void> {
    const { tokenizer, config } = this.#family;
    checkBias(job.sampling, config.vocab);
    const prompt = await this.#family.read(job.turns, job.limits.pixels, signal);
    const maxTokens = admit(prompt, job.maxTokens, this.facts.contextLength);
    const promptTokens = prompt.ids.length;
    try {
      const cachedTokens = await this.#read(prompt, promptTokens + maxTokens, job.cache, signal);
      emit({ type: 'start', promptTokens, cachedTokens, device: this.facts.device });
      const opening = {
        decoder: this.#decoder,
        tokenizer,
        stopIds: config.stopIds,
        prompt: prompt.ids,
        maxTokens,
        seed: job.sampling.seed ?? freshSeed(),
        onDrawn: (id: number): void => this.#prefixes.drew(id),
      };
      let completionTokens = 0;
      for (let choice = 0; choice < job.choices; choice++) {
        this.#prefixes.beginAnswer();
        completionTokens += await answerOne(opening, job, choice, emit, signal);
      }
      emit({ type: 'usage', promptTokens, cachedTokens, completionTokens });
    } catch (error) {
      // Interrupted between two runs, what was read is sound. After anything else, who knows.
      if (!signal.aborted) this.#prefixes.drop();
      throw error;
    } finally {
      if (!job.cache) {
        this.#prefixes.drop();
        this.#vision.forget(prompt.pictures);
      }
    }
  }

  /** Reads what of a prompt was not read before. Returns how many positions were. */
  async #read(prompt: Prompt, positions: number, cache: boolean, signal: AbortSignal): Promise<number> {
    const { imageTokenId } = this.#family;
    const sequence = sequenceOf(prompt, imageTokenId);
    const known = this.#prefixes.begin(sequence, positions, cache);
    if (!cache) this.#vision.forget(prompt.pictures);
    const fresh = prompt.pictures.filter((_, index) => (sequence.pictures[index]?.end ?? 0) > known);
    const features = await this.#vision.encode(fresh, signal);
    await this.#decoder.prefill(prompt.ids.subarray(known), imageTokenId, features, signal);
    return known;
  }

  /**
   * Does work that ends at once when the GPU reports an error or is lost: runs that are pending then may never settle,
   * so they are left behind, and the model must not be used again.
   */
  async #guarded(signal: AbortSignal, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const fault = this.#gpu?.fault;
    if (!fault) return work(signal);
    let leave = (): void => {};
    const faulty = new Promise<void>((resolve) => {
      leave = resolve;
    });
    fault.addEventListener('abort', leave);
    try {
      fault.throwIfAborted();
      await Promise.race([work(AbortSignal.any([signal, fault])), faulty]);
      fault.throwIfAborted();
    } catch (error) {
      // A fault often shows first as something else (a failed run, a buffer unmapped), and is announced right after.
      if (!(error instanceof NearsightError) && !signal.aborted) {
        await Promise.race([faulty, new Promise((resolve) => setTimeout(resolve, ANNOUNCED_MS))]);
      }
      throw fault.aborted ? fault.reason : error;
    } finally {
      fault.removeEventListener('abort', leave);
    }
  }
}
