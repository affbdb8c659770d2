import { FileBytes } from '../../../src/bytes/file-bytes.ts';
import { asNearsightError, isNearsightError, NearsightError } from '../../../src/protocol/errors.ts';
import { missingAsset } from '../../../src/protocol/missing-asset.ts';
import type { ModelFacts } from '../../../src/protocol/calls.ts';
import type { Device, ModelCanary, ModelSpec } from '../../../src/protocol/model-spec.ts';
import { loadOrt, type Ort, threadsFor } from '../../onnx/ort.ts';
import { startOrt } from '../../onnx/ort-session.ts';
import { CanaryMismatch } from '../../self-test/canary-self-test.ts';
import type { ModelFiles } from '../../storage/store.ts';
import { withDeviceGuard } from '../../webgpu/device-guard.ts';
import { Gpu } from '../../webgpu/gpu-device.ts';
import type { Engine, OpenOptions, OpenRequest } from '../engine.ts';
import { readConfigs, type ReadFile } from './model-reader.ts';
import { LoadProgress } from './progress.ts';
import { type Choice, choicesFor, configBytes, filesFor, graphBytes } from './select-device.ts';

/**
 * Starts onnxruntime. With threads it is waited for; without, its wasm is compiled while the first files are opened, and what
 * fails is reported by the first session.
 */
export async function start({ spec, device, assets, threads }: OpenRequest): Promise<void> {
  const [choice] = await choicesFor(spec, device);
  const count = threadsFor(choice.device, threads);
  const started = loadOrt(choice.device, assets.ort, count).then(startOrt);
  if (count > 1) await started;
  else started.catch(() => {});
}

/** How one kind of engine opens a model. */
export interface Opener<Prepared> {
  /** The name of the engine. */
  name: string;
  /** How many steps it takes to open the graphs on a device. */
  stepsOf(device: Device): number;
  /** Reads configs and tokenizer. */
  prepare(files: ReadonlyMap<string, Uint8Array>, signal: AbortSignal): Prepared | Promise<Prepared>;
  /**
   * Opens a variant. The caller watches the GPU: after a fault, this may never settle.
   *
   * @throws NearsightError `unsupported_device` if this device cannot run it, or computes it wrongly; nothing stays open
   */
  open(prepared: Prepared, opening: Opening, signal: AbortSignal): Promise<Engine>;
}

/** A variant that is being opened. */
export interface Opening {
  ort: Ort;
  choice: Choice;
  gpu: Gpu | undefined;
  /** The spec's known answer. */
  canary: ModelCanary | undefined;
  read: ReadFile;
  onStep: () => void;
  /** The facts of the engine, if the model has so many positions. */
  facts: (maxPositions: number) => ModelFacts;
}

/**
 * Opens a model: chooses device and variant, reads the files, creates the sessions, compiles the shaders. Where a GPU
 * gives no device or turns out to compute a variant wrongly, the next one that can run here is opened instead, on wasm in
 * the end.
 *
 * @throws NearsightError `unsupported_device`, `load_failed`, or what the store throws; the signal's reason on abort; as
 *   soon as the GPU fails, `gpu_error` or `device_lost`, after which this worker's onnxruntime must not be used again
 */
export async function openEngine<Prepared>(
  request: OpenRequest,
  options: OpenOptions,
  opener: Opener<Prepared>,
): Promise<Engine> {
  const { spec, device } = request;
  try {
    return await openFirst(request, options, await choicesFor(spec, device), opener);
  } catch (error) {
    if (isNearsightError(error) || options.signal.aborted) throw error;
    const message = `${spec.id} could not be opened: ${asNearsightError(error).message}`;
    throw new NearsightError('load_failed', message, { cause: error });
  }
}

/** Opens the first of these that turns out to run here. */
async function openFirst<Prepared>(
  request: OpenRequest,
  { files, emit, signal }: OpenOptions,
  choices: [Choice, ...Choice[]],
  opener: Opener<Prepared>,
): Promise<Engine> {
  const { spec } = request;
  const progress = new LoadProgress(emit);
  const counted = (method: 'read' | 'open'): ReadFile => countingReader(spec, files, method, progress);
  const plan = async ({ device, variant }: Choice, configs = 0): Promise<void> => {
    progress.plan(configs + graphBytes(variant), opener.stepsOf(device) + 1);
    await files.plan(filesFor(spec, variant));
  };
  await plan(choices[0], configBytes(spec));
  const prepared = await opener.prepare(await readConfigs(spec.files, counted('read'), signal), signal);
  const failures: Failure[] = [];
  let gpu: Gpu | undefined;
  for (const choice of choices) {
    const { device, variant, adapter } = choice;
    try {
      if (failures.length > 0) await plan(choice);
      if (adapter) gpu ??= await Gpu.open(adapter);
      else {
        gpu?.close();
        gpu = undefined;
      }
      const threads = threadsFor(device, request.threads);
      const facts = {
        model: spec.id,
        engine: opener.name,
        device,
        dtype: variant.dtype,
        hardware: gpu?.hardware ?? `${threads} wasm thread${threads === 1 ? '' : 's'}`,
        reason: [choice.reason, ...failures.map((failure) => `failed there: ${describe(failure)}`)].join('; '),
        storage: files.storage,
      };
      const withLength = (most: number): ModelFacts => ({
        ...facts,
        contextLength: Math.min(spec.contextLength, most),
      });
      const parts = { choice, gpu, canary: spec.canary, read: counted('open'), facts: withLength };
      return await withDeviceGuard(gpu?.fault, signal, async (guarded) => {
        const ort = await loadOrt(device, request.assets.ort, threads);
        const engine = await opener.open(prepared, { ...parts, ort, onStep: () => progress.step() }, guarded);
        progress.end();
        return engine;
      });
    } catch (error) {
      if (!(isNearsightError(error) && error.code === 'unsupported_device')) {
        gpu?.close();
        throw error;
      }
      failures.push({ device, where: `${device} ${variant.dtype}`, error });
    }
  }
  gpu?.close();
  throw noneRuns(spec, failures, gpu ? 'This GPU or its driver' : 'This browser');
}

/** A choice that turned out not to run here, or to compute wrongly. */
interface Failure {
  device: Device;
  where: string;
  error: NearsightError;
}

function describe({ where, error }: Failure): string {
  return `${where}, ${error.message}`;
}

function noneRuns({ id }: ModelSpec, failures: readonly Failure[], who: string): NearsightError {
  const tried = failures.map(describe).join('; ');
  // A driver may miss the canary as well, but hardly as wasm does.
  const isMissed = failures.every(({ error }) => error instanceof CanaryMismatch);
  const message =
    isMissed && failures.some(({ device }) => device === 'wasm')
      ? `${id} gives other tokens than its spec's canary wherever it was opened (${tried}). The model's files or the canary ` +
        'may be wrong: compare both with the reference implementation.'
      : `${who} cannot run ${id}, or computes it wrongly (${tried}). Update the browser or the driver, or use another device.`;
  return new NearsightError('unsupported_device', message);
}

/** Reads files and counts their bytes. */
function countingReader(
  { id, assets }: ModelSpec,
  files: ModelFiles,
  method: 'read' | 'open',
  progress: LoadProgress,
): ReadFile {
  return async (file, until) => {
    try {
      const bytes = await files[method](file, (count) => progress.add(count), until);
      return bytes instanceof Uint8Array ? bytes : new FileBytes(bytes);
    } catch (error) {
      if (!assets || !isNearsightError(error) || error.code !== 'load_failed') throw error;
      throw missingAsset(`${file.path} of ${id}`, String(file.url), error.message, error);
    }
  };
}
