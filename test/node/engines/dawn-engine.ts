import { create, globals } from 'webgpu';
import { acceptSharedMemory } from '../../../tools/dawn.mjs';
import { GREEDY as UNSEEDED } from '../../../src/protocol/job.ts';
import type { Device } from '../../../src/protocol/model-spec.ts';
import type { Decoder } from '../../../worker/generation/decoder.ts';
import { openGraphs, sessionsOf } from '../../../worker/engines/onnx/load-graphs.ts';
import { openDecoder } from '../../../worker/engines/onnx/open-decoder.ts';
import { withDeviceGuard } from '../../../worker/webgpu/device-guard.ts';
import { encoderInputs } from '../../../worker/families/idefics3/idefics3-inputs.ts';
import { findAdapter, Gpu } from '../../../worker/webgpu/gpu-device.ts';
import type { GraphFile } from '../../../worker/onnx/model/external-data.ts';
import { loadOrt } from '../../../worker/onnx/ort.ts';
import { packagedOrt } from './packaged-ort.ts';
import { VisionEncoder } from '../../../worker/vision/vision-encoder.ts';

/** Where onnxruntime-web's files are: in Node they are not beside the worker. */
export const assets = { ort: packagedOrt() };

/** A device of Dawn. */
export async function openGpu(): Promise<Gpu> {
  useDawn();
  const adapter = await findAdapter();
  if (!adapter) throw new Error('Dawn finds no adapter: has `npm test` set up lavapipe?');
  return Gpu.open(adapter);
}

/** Puts WebGPU into this process: Dawn, on the adapter that the machine has, or on lavapipe. */
export function useDawn(): void {
  if ('GPUQueue' in globalThis) return;
  Object.assign(globalThis, globals);
  acceptSharedMemory();
  const gpu = create([]);
  Object.defineProperty(globalThis, 'navigator', { value: { gpu, hardwareConcurrency: 1 }, configurable: true });
}

/** The parts of the engine that compute logits, without prompts and answers. */
export interface Engine {
  vision: VisionEncoder;
  decoder: Decoder;
  close(): Promise<void>;
}

/** Always the likeliest token. */
export const GREEDY = { ...UNSEEDED, seed: 1 };

/** The names of the graphs' files. */
const FILES = { vision: 'vision_encoder', embed: 'embed_tokens', decoder: 'decoder_model_merged' };

/** The longest sequence in these tests. */
const POSITIONS = 1024;

function graphFile(file: Uint8Array | GraphFile): GraphFile {
  return file instanceof Uint8Array ? { graph: file, externalData: [] } : file;
}

/** Opens a model's three graphs, on Dawn or on wasm. Crops are of glimpse's size, unless told otherwise. */
export async function openEngine(
  device: Device,
  read: (name: string) => Uint8Array | GraphFile,
  cropSize = 96,
  precision: Decoder['precision'] = 'float32',
): Promise<Engine> {
  const gpu = device === 'webgpu' ? await openGpu() : undefined;
  const ort = await loadOrt(device, assets.ort);
  // SmolVLM's heads and patches.
  const inputs = encoderInputs(cropSize, 12 * (cropSize / 16) ** 4 * 4);
  const options = { ort, gpu, positions: POSITIONS, encoderInputs: inputs, precision, onStep: (): void => {} };
  const graphs = await withDeviceGuard(gpu?.fault, new AbortController().signal, (signal) =>
    openGraphs({ ...options, read: async (graph) => graphFile(read(FILES[graph])), signal }),
  );
  const decoder = await openDecoder(ort, graphs, POSITIONS, gpu);
  const vision = new VisionEncoder(ort, graphs.vision, inputs, gpu?.device.limits);
  return {
    vision,
    decoder,
    async close() {
      vision.features.forget();
      decoder.close();
      for (const session of sessionsOf(graphs)) await session.close();
      gpu?.close();
    },
  };
}
