import { NearsightError } from '../../src/protocol/errors.ts';
import type { Gpu } from '../webgpu/gpu-device.ts';
import { Readback } from '../webgpu/buffer-readback.ts';
import type { Ort, Tensor } from '../onnx/ort.ts';
import { Session } from '../onnx/ort-session.ts';
import { pseudoRandomInput } from '../onnx/optimize/test-input.ts';
import type { OptimizedGraph } from '../onnx/optimize/pass.ts';
import { elementBytes, release, toFloats } from '../onnx/tensor.ts';
import { maxRelativeDifference, kernelMismatch, LAYER_TOLERANCE } from './decoder-self-test.ts';
import type { EncoderInputs, NamedTensors } from '../vision/vision-inputs.ts';
import { cropsPerRun, runEncoder } from '../vision/vision-encoder.ts';

/** A vision encoder on the GPU. */
export interface EncoderUnderTest {
  ort: Ort;
  gpu: Pick<Gpu, 'device' | 'workarounds'>;
  session: Session;
  /** What it was opened from. */
  model: OptimizedGraph;
  inputs: EncoderInputs;
  precision: keyof typeof LAYER_TOLERANCE;
}

const NOTHING = new Float32Array(0);

/**
 * Compares one layer of the vision encoder, and how it makes patches, with what the CPU comes to: the same rows from
 * the same crop of noise. Of an encoder in which layers cannot be told, the whole is compared.
 *
 * The shaders of all of it are compiled by using them, on one crop and on as many as will be run at once. The GPU is
 * given the first before the CPU begins, so that both are busy.
 *
 * @throws NearsightError `unsupported_device` if the features are wrong
 */
export async function selfTestVision(encoder: EncoderUnderTest, signal: AbortSignal): Promise<void> {
  const { ort, gpu, session, model, inputs, precision } = encoder;
  const example = inputs.example(1, pseudoRandomInput);
  const layer = model.layer && (await Session.open(ort, model.layer, gpu.device));
  const given: Tensor[] = [];
  try {
    for (const each of layer ? [layer, session] : [session]) given.push(await runEncoder(ort, each, example));
    signal.throwIfAborted();
    const known = await onCpu(encoder, example);
    const [seen = NOTHING, all = seen] = await bring(given, gpu.device);
    const share = maxRelativeDifference(known, seen);
    // Put so that values that are no numbers do not pass.
    if (!(share <= LAYER_TOLERANCE[precision])) {
      throw kernelMismatch(`an image's features differ from the CPU's by ${share.toExponential(1)} of their range`);
    }
    if (!all.every(Number.isFinite)) throw kernelMismatch("an image's features are no numbers");
  } finally {
    given.forEach(release);
    await layer?.close();
  }
  const most = gpu.workarounds.singleCrop ? 1 : cropsPerRun(inputs.activationBytesPerCrop, gpu.device.limits);
  if (most > 1) release(await runEncoder(ort, session, inputs.example(most, pseudoRandomInput)));
}

async function onCpu({ ort, model }: EncoderUnderTest, example: NamedTensors): Promise<Float32Array> {
  const session = await Session.open(ort, model.layer ?? model);
  try {
    const { data, type, size } = await runEncoder(ort, session, example);
    if (!ArrayBuffer.isView(data)) throw new NearsightError('internal', 'The vision encoder gave no numbers.');
    const { buffer } = new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
    return toFloats(buffer, 0, size, type);
  } finally {
    await session.close();
  }
}

async function bring(tensors: readonly Tensor[], device: GPUDevice): Promise<Float32Array[]> {
  const readback = new Readback(device);
  const brought: Float32Array[] = [];
  try {
    for (const { gpuBuffer, size, type } of tensors) {
      brought.push(toFloats(await readback.read(gpuBuffer, 0, size * elementBytes(type)), 0, size, type));
    }
    return brought;
  } finally {
    readback.close();
  }
}
