import type { Gpu } from '../webgpu/gpu-device.ts';
import { Readback } from '../webgpu/buffer-readback.ts';
import type { Ort, Tensor } from '../onnx/ort.ts';
import { Session } from '../onnx/ort-session.ts';
import { pseudoRandomInput } from '../onnx/optimize/test-input.ts';
import type { OptimizedGraph } from '../onnx/optimize/pass.ts';
import { bytesOf, elementBytes, release, toFloats } from '../onnx/tensor.ts';
import { checkDifference, selfTestFailed } from './kernel-mismatch.ts';
import { LAYER_TOLERANCE, type Precision } from './tolerances.ts';
import type { EncoderInputs, NamedTensors } from '../vision/vision-inputs.ts';
import { cropsPerRun, runEncoder } from '../vision/vision-encoder.ts';

/** A vision encoder on the GPU. */
export interface EncoderUnderTest {
  ort: Ort;
  gpu: Pick<Gpu, 'device' | 'workarounds'>;
  session: Session;
  /** The graph that the session was opened from. */
  model: OptimizedGraph;
  inputs: EncoderInputs;
  precision: Precision;
}

/**
 * Compares the patch embedding and one layer of the vision encoder on GPU and CPU, for one pseudo-random crop; the whole
 * encoder if its layers are not recognised.
 *
 * Also compiles the whole encoder's shaders by running them, for one crop and for as many as later runs have. The GPU
 * starts before the CPU, so that both work at the same time.
 *
 * @throws NearsightError `unsupported_device` if the features are wrong
 */
export async function selfTestVision(encoder: EncoderUnderTest, signal: AbortSignal): Promise<void> {
  const { ort, gpu, session, model, inputs, precision } = encoder;
  const example = inputs.example(1, pseudoRandomInput);
  const layer = model.layer && (await Session.open(ort, model.layer, gpu.device));
  const features: Tensor[] = [];
  const readback = new Readback(gpu.device);
  try {
    for (const tested of layer ? [layer, session] : [session]) features.push(await runEncoder(ort, tested, example));
    signal.throwIfAborted();
    const expected = await encodeOnCpu(encoder, example);
    for (const [index, { gpuBuffer, size, type }] of features.entries()) {
      const actual = toFloats(await readback.read(gpuBuffer, 0, size * elementBytes(type)), 0, size, type);
      // The CPU computes only the first of them.
      if (index === 0) {
        checkDifference(expected, actual, LAYER_TOLERANCE[precision], "an image's features differ from the CPU's");
      }
      if (!actual.every(Number.isFinite)) throw selfTestFailed("an image's features are not finite numbers");
    }
  } finally {
    readback.close();
    features.forEach(release);
    await layer?.close();
  }
  const crops = gpu.workarounds.singleCrop ? 1 : cropsPerRun(inputs.activationBytesPerCrop, gpu.device.limits);
  if (crops > 1) release(await runEncoder(ort, session, inputs.example(crops, pseudoRandomInput)));
}

async function encodeOnCpu({ ort, model }: EncoderUnderTest, example: NamedTensors): Promise<Float32Array> {
  const session = await Session.open(ort, model.cpuLayer ?? model);
  try {
    const features = await runEncoder(ort, session, example);
    return toFloats(bytesOf(features).slice().buffer, 0, features.size, features.type);
  } finally {
    await session.close();
  }
}
