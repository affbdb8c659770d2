import { NearsightError } from '../../src/wire/error.ts';
import type { Gpu } from '../gpu/device.ts';
import { Readback } from '../gpu/readback.ts';
import type { Ort, Tensor } from '../onnx/ort.ts';
import { release, Session } from '../onnx/session.ts';
import { noise } from '../onnx/surgery/noise.ts';
import { elementBytes, floats } from './memory.ts';
import { framesPerRun, furthestApart, mismatch, TOLERANCE } from './prove.ts';
import { encodeBatch } from './vision.ts';

/** Encoders up to this size are run on the CPU as well: that takes 10 ms for glimpse's, but 7 s for SmolVLM's. */
const CHEAP_BYTES = 16 << 20;

/** A vision encoder on the GPU. */
export interface Encoder {
  ort: Ort;
  gpu: Pick<Gpu, 'device' | 'software'>;
  session: Session;
  /** The file that it was opened from, unmodified. */
  file: Uint8Array;
  /** Edge of its views. */
  view: number;
  precision: keyof typeof TOLERANCE;
}

/**
 * Compiles the vision encoder's shaders by using them, on one view and on as many as will be run at once, and checks
 * what a small one gives: the same features as the CPU, from the file as it was read.
 *
 * Software adapters compute one view only. Others would cost there what they save.
 *
 * @throws NearsightError `unsupported_device` if the features are wrong
 */
export async function proveVision(encoder: Encoder, signal: AbortSignal): Promise<void> {
  const { ort, gpu, session, file, view, precision } = encoder;
  const pixels = noise(3 * view ** 2);
  const features = await encodeBatch(ort, session, pixels, 1, view);
  const seen = await bring(features, gpu.device);
  release(features);
  signal.throwIfAborted();
  if (file.length <= CHEAP_BYTES) {
    const share = furthestApart(seen, await onCpu(encoder, pixels));
    // Put so that values that are no numbers do not pass.
    if (!(share <= TOLERANCE[precision])) {
      throw mismatch(`a picture's features differ from the CPU's by ${share.toExponential(1)} of their range`);
    }
  }
  const most = gpu.software ? 1 : framesPerRun(view, gpu.device.limits);
  if (most > 1) release(await encodeBatch(ort, session, new Float32Array(most * pixels.length), most, view));
}

async function onCpu({ ort, file, view }: Encoder, pixels: Float32Array): Promise<Float32Array> {
  const session = await Session.open(ort, file);
  try {
    const { data, type, size } = await encodeBatch(ort, session, pixels, 1, view);
    if (!ArrayBuffer.isView(data)) throw new NearsightError('internal', 'The vision encoder gave no numbers.');
    const { buffer } = new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
    return floats(buffer, 0, size, type);
  } finally {
    await session.close();
  }
}

async function bring({ gpuBuffer, size, type }: Tensor, device: GPUDevice): Promise<Float32Array> {
  const readback = new Readback(device);
  try {
    return floats(await readback.read(gpuBuffer, 0, size * elementBytes(type)), 0, size, type);
  } finally {
    readback.close();
  }
}
