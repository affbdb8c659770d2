import type { Gpu } from '../webgpu/gpu-device.ts';
import { GpuMemory } from '../webgpu/gpu-memory.ts';
import type { Ort } from '../onnx/ort.ts';
import { Session } from '../onnx/ort-session.ts';
import { pseudoRandomInput } from '../onnx/optimize/test-input.ts';
import type { GraphFile } from '../onnx/model/external-data.ts';
import { CpuMemory } from '../wasm/cpu-memory.ts';
import { embedByTable } from '../onnx/embed-tokens.ts';
import { StepwiseDecoder } from '../generation/stepwise-decoder.ts';
import { maxRelativeDifference, LAYER_TOLERANCE, reservePositions, kernelMismatch } from './decoder-self-test.ts';

/** Rows that are read at once, in a second chunk, and alone: there are kernels for many (from 32 on), few and one. */
const CHUNKS = [48, 16, 1];
const ROWS = CHUNKS.reduce((sum, rows) => sum + rows);

/** Embeddings of this size, which real ones have: what the layer adds to them is not lost in the sum. */
const SCALE = 1 / 16;

/** One layer of a decoder and its head. */
export interface LayerUnderTest {
  ort: Ort;
  gpu: Pick<Gpu, 'device' | 'workarounds'>;
  model: GraphFile;
  precision: keyof typeof LAYER_TOLERANCE;
}

/**
 * Compares one layer of the decoder and its head with what the CPU makes of them: the same logits after the same rows
 * of noise, read at once, and in chunks with keys and values in between. It compiles most of what the decoder needs.
 *
 * @throws NearsightError `unsupported_device` if the logits are wrong
 */
export async function selfTestLayer(
  { ort, gpu, model, precision }: LayerUnderTest,
  signal: AbortSignal,
): Promise<void> {
  const sessions: Session[] = [];
  const decoders: StepwiseDecoder[] = [];
  const open = async (device?: GPUDevice): Promise<StepwiseDecoder> => {
    const session = await Session.open(ort, model, device);
    sessions.push(session);
    const memory = device ? new GpuMemory(ort, device) : new CpuMemory(ort);
    const width = Number(session.inputs.get('inputs_embeds')?.shape.at(-1));
    const data = new Uint8Array(pseudoRandomInput(ROWS * width).map((each) => each * SCALE).buffer);
    const embed = embedByTable(ort, { rows: ROWS, width, type: 'float32', data });
    const { mostRows } = gpu.workarounds;
    const decoder = new StepwiseDecoder({ ort, embed, session, memory, positions: ROWS, mostRows });
    decoders.push(decoder);
    return decoder;
  };
  try {
    const [tried, known] = [await open(gpu.device), await open()];
    const wanted = await read(known, [ROWS], signal);
    for (const chunks of [[ROWS], CHUNKS]) {
      const share = maxRelativeDifference(wanted, await read(tried, chunks, signal));
      // Put so that values that are no numbers do not pass.
      if (share <= LAYER_TOLERANCE[precision]) continue;
      throw kernelMismatch(
        `logits after ${chunks.join(' and ')} rows differ from the CPU's by ${share.toExponential(1)} of their range`,
      );
    }
  } finally {
    for (const decoder of decoders) decoder.close();
    for (const session of sessions) await session.close();
  }
}

async function read(decoder: StepwiseDecoder, chunks: readonly number[], signal: AbortSignal): Promise<Float32Array> {
  await reservePositions(decoder, ROWS);
  let at = 0;
  for (const rows of chunks) {
    const ids = Int32Array.from({ length: rows }, () => at++);
    await decoder.prefill(ids, -1, [], signal);
  }
  return decoder.logits();
}
