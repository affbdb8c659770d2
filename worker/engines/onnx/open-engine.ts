import { FileBytes } from '../../../src/bytes/file-bytes.ts';
import { asNearsightError, isNearsightError, NearsightError } from '../../../src/protocol/errors.ts';
import { missingAsset } from '../../../src/protocol/missing-asset.ts';
import type { ModelFacts } from '../../../src/protocol/calls.ts';
import { modelTypes, openProcessor } from '../../families/registry.ts';
import type { Processor } from '../../families/processor.ts';
import type { Decoder } from '../../generation/decoder.ts';
import { loadOrt, threadsFor } from '../../onnx/ort.ts';
import { startOrt } from '../../onnx/ort-session.ts';
import type { ModelFiles } from '../../storage/store.ts';
import { withDeviceGuard } from '../../webgpu/device-guard.ts';
import { Gpu } from '../../webgpu/gpu-device.ts';
import type { Engine, EngineKind, OpenOptions, OpenRequest } from '../engine.ts';
import { closeSessions, openGraphs, sessionsOf, stepsOf } from './load-graphs.ts';
import { readConfigs, type ReadFile, readGraph } from './model-reader.ts';
import { OnnxEngine } from './onnx-engine.ts';
import { openDecoder } from './open-decoder.ts';
import { LoadProgress } from './progress.ts';
import { type Choice, choicesFor, configBytes, filesFor, graphBytes, probe } from './select-device.ts';

/** Runs ONNX graphs with onnxruntime-web, on WebGPU or wasm. */
export const onnxEngine: EngineKind = {
  name: 'onnx',
  modelTypes,
  probe,
  start,
  open: openEngine,
};

/**
 * Starts onnxruntime. With threads it is waited for; without, its wasm is compiled while the first files are opened, and what
 * fails is reported by the first session.
 */
async function start({ spec, device, assets, threads }: OpenRequest): Promise<void> {
  const [choice] = await choicesFor(spec, device);
  const count = threadsFor(choice.device, threads);
  const started = loadOrt(choice.device, assets.ort, count).then(startOrt);
  if (count > 1) await started;
  else started.catch(() => {});
}

/** What stays the same whichever variant is opened. */
interface Opening {
  request: OpenRequest;
  processor: Processor;
  files: ModelFiles;
  open: ReadFile;
  progress: LoadProgress;
}

/**
 * Opens a model: chooses device and variant, reads the files, creates the sessions, compiles the shaders. Where a GPU
 * gives no device or turns out to compute a variant wrongly, the next one that can run here is opened instead, on wasm in
 * the end.
 *
 * @throws NearsightError `unsupported_device`, `load_failed`, or what the store throws; the signal's reason on abort; as
 *   soon as the GPU fails, `gpu_error` or `device_lost`, after which this worker's onnxruntime must not be used again
 */
async function openEngine(request: OpenRequest, options: OpenOptions): Promise<Engine> {
  const { spec, device } = request;
  try {
    return await openFirst(request, options, await choicesFor(spec, device));
  } catch (error) {
    if (isNearsightError(error) || options.signal.aborted) throw error;
    const message = `${spec.id} could not be opened: ${asNearsightError(error).message}`;
    throw new NearsightError('load_failed', message, { cause: error });
  }
}

/** Opens the first of these that turns out to run here. */
async function openFirst(
  request: OpenRequest,
  { files, emit, signal }: OpenOptions,
  choices: [Choice, ...Choice[]],
): Promise<Engine> {
  const { spec } = request;
  const progress = new LoadProgress(emit);
  const counted =
    (method: 'read' | 'open'): ReadFile =>
    async (file, until) => {
      try {
        const bytes = await files[method](file, (count) => progress.add(count), until);
        return bytes instanceof Uint8Array ? bytes : new FileBytes(bytes);
      } catch (error) {
        if (!spec.assets || !isNearsightError(error) || error.code !== 'load_failed') throw error;
        throw missingAsset(`${file.path} of ${spec.id}`, String(file.url), error.message, error);
      }
    };
  const plan = async ({ device, variant }: Choice, configs = 0): Promise<void> => {
    progress.plan(configs + graphBytes(variant), stepsOf(device) + 1);
    await files.plan(filesFor(spec, variant));
  };
  await plan(choices[0], configBytes(spec));
  const processor = openProcessor(await readConfigs(spec.files, counted('read'), signal));
  const opening = { request, processor, files, open: counted('open'), progress };
  const failures: string[] = [];
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
      const reason = [choice.reason, ...failures.map((failure) => `failed there: ${failure}`)].join('; ');
      return await withDeviceGuard(gpu?.fault, signal, (guarded) =>
        openChoice(opening, { ...choice, reason }, gpu, guarded),
      );
    } catch (error) {
      if (!(isNearsightError(error) && error.code === 'unsupported_device')) {
        gpu?.close();
        throw error;
      }
      failures.push(`${device} ${variant.dtype}, ${error.message}`);
    }
  }
  gpu?.close();
  const what = `This GPU or its driver cannot run ${spec.id}, or computes it wrongly (${failures.join('; ')})`;
  throw new NearsightError('unsupported_device', `${what}. Update the driver or the browser, or use device 'wasm'.`);
}

async function openChoice(
  { request, processor, files, open, progress }: Opening,
  { variant, device, reason }: Choice,
  gpu: Gpu | undefined,
  signal: AbortSignal,
): Promise<Engine> {
  const { spec, assets } = request;
  const threads = threadsFor(device, request.threads);
  const ort = await loadOrt(device, assets.ort, threads);
  const facts: ModelFacts = {
    model: spec.id,
    device,
    dtype: variant.dtype,
    contextLength: Math.min(spec.contextLength, processor.config.maxPositions),
    hardware: gpu?.hardware ?? `${threads} wasm thread${threads === 1 ? '' : 's'}`,
    reason,
    storage: files.storage,
  };
  const graphs = await openGraphs({
    ort,
    gpu,
    positions: facts.contextLength,
    encoderInputs: processor.encoderInputs,
    precision: variant.f16 ? 'float16' : 'float32',
    read: (graph, until) => readGraph(variant.graphs[graph], open, until),
    onStep: () => progress.step(),
    signal,
  });
  let decoder: Decoder | undefined;
  try {
    if (graphs.remark !== undefined) facts.reason += `; ${graphs.remark}`;
    decoder = await openDecoder(ort, graphs, facts.contextLength, gpu);
    if (graphs.decoder.capturing && !decoder.replays) {
      facts.reason += '; steps are not captured (a graph looks up the embeddings)';
    }
    const engine = new OnnxEngine({ ort, processor, facts, graphs, decoder, gpu });
    await engine.selfTest(signal);
    progress.end();
    return engine;
  } catch (error) {
    decoder?.close();
    await closeSessions(sessionsOf(graphs), gpu?.fault);
    throw error;
  }
}
