import { NearsightError } from '../../src/protocol/errors.ts';
import type { LoadPart, LoadRequest, ModelFacts, Verdict } from '../../src/protocol/calls.ts';
import type { ChatJob, Part } from '../../src/protocol/job.ts';
import type { Device, ModelFile, ModelSpec } from '../../src/protocol/model-spec.ts';
import type { ModelFiles } from '../storage/store.ts';

/** A way to run models. The runtime knows engines by this interface only. */
export interface EngineKind {
  readonly name: string;
  /** Values of `model_type` that it supports. */
  readonly modelTypes: readonly string[];
  /**
   * Says where a model would run, before anything is downloaded.
   *
   * @throws NearsightError `unsupported_device` if it cannot run here
   */
  probe(spec: ModelSpec, device: Device | 'auto'): Promise<EngineVerdict>;
  /**
   * Does what may hang, before the files of the model are in use: in Firefox, a worker that hangs while it starts a thread
   * keeps its locks even after the page has terminated it.
   */
  start?(request: OpenRequest): Promise<void>;
  /**
   * Opens a model: everything is downloaded, verified and tested when it resolves.
   *
   * @throws NearsightError, or the signal's reason; nothing stays open then
   */
  open(request: OpenRequest, options: OpenOptions): Promise<Engine>;
}

/** What to open. */
export interface OpenRequest extends Pick<LoadRequest, 'device' | 'assets' | 'threads'> {
  spec: ModelSpec;
}

/** Where a model would run, and which files that takes. */
export interface EngineVerdict {
  verdict: Verdict;
  files: readonly ModelFile[];
}

export interface OpenOptions {
  /** The model's files. */
  files: ModelFiles;
  /** Is called for downloads and preparation, up to the last step. */
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
   *   `device_lost` the worker must be replaced.
   */
  answer(job: ChatJob, emit: (part: Part) => void, signal: AbortSignal): Promise<void>;
  /** Drops what is kept of earlier requests. Not while one is being answered. */
  forget(): void;
  /** GPU buffers and tensors alive, without the weights'. */
  gpuBuffers(): number;
  /** Frees everything that it holds. Not while a job is being answered. */
  close(): Promise<void>;
}

/** The values of `model_type` that some engine supports. */
export function modelTypesOf(engines: readonly EngineKind[]): readonly string[] {
  return engines.flatMap(({ modelTypes }) => modelTypes);
}

/**
 * The first engine that supports a model.
 *
 * @throws NearsightError `unsupported_device` naming the model's type
 */
export function engineFor(spec: ModelSpec, engines: readonly EngineKind[]): EngineKind {
  const engine = engines.find(({ modelTypes }) => modelTypes.includes(spec.modelType));
  if (engine) return engine;
  const names = engines.map(({ name }) => name).join(', ');
  const reason = `no engine (${names}) supports models of the type '${spec.modelType}'`;
  throw new NearsightError('unsupported_device', `${spec.id} cannot run here: ${reason}.`);
}
