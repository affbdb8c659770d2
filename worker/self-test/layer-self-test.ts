import type { Gpu } from '../webgpu/gpu-device.ts';
import { GpuMemory } from '../webgpu/gpu-memory.ts';
import type { Ort } from '../onnx/ort.ts';
import { INPUTS_EMBEDS } from '../onnx/decoder-ports.ts';
import { Session } from '../onnx/ort-session.ts';
import { pseudoRandomInput } from '../onnx/optimize/test-input.ts';
import type { GraphFile } from '../onnx/model/external-data.ts';
import { CpuMemory } from '../wasm/cpu-memory.ts';
import { embedByTable } from '../onnx/embed-tokens.ts';
import { StepwiseDecoder } from '../generation/stepwise-decoder.ts';
import { withinMemory } from './decoder-self-test.ts';
import { checkDifference } from './kernel-mismatch.ts';
import { LAYER_TOLERANCE, type Precision } from './tolerances.ts';

/** Rows of each chunk: kernels differ for many rows (32 and more), for few, and for one. */
const CHUNKS = [48, 16, 1];
const ROWS = CHUNKS.reduce((sum, rows) => sum + rows);

/** Scale of the embeddings, as real ones have: a larger one would hide what the layer adds to them. */
const EMBEDDING_SCALE = 1 / 16;

/** One layer of a decoder, and its head. */
export interface LayerUnderTest {
  ort: Ort;
  gpu: Pick<Gpu, 'device' | 'workarounds'>;
  layer: GraphFile;
  /** The same, for the CPU. */
  cpuLayer: GraphFile;
  /** Whether the model's session captures runs: its kernels read lengths in another way then. */
  capturing: boolean;
  precision: Precision;
}

/**
 * Compares the logits of one decoder layer and the head on GPU and CPU, from the same pseudo-random rows: in one chunk,
 * and in several, which read keys and values of earlier ones. This also compiles most of the decoder's shaders.
 *
 * @throws NearsightError `unsupported_device` if the logits are wrong
 */
export async function selfTestLayer(
  { ort, gpu, layer, cpuLayer, capturing, precision }: LayerUnderTest,
  signal: AbortSignal,
): Promise<void> {
  const sessions: Session[] = [];
  const decoders: StepwiseDecoder[] = [];
  const open = async (model: GraphFile, device?: GPUDevice): Promise<StepwiseDecoder> => {
    const session = await Session.open(ort, model, device, device && capturing);
    sessions.push(session);
    const memory = device ? new GpuMemory(ort, device) : new CpuMemory(ort);
    const width = Number(session.inputs.get(INPUTS_EMBEDS)?.shape.at(-1));
    const data = new Uint8Array(pseudoRandomInput(ROWS * width).map((value) => value * EMBEDDING_SCALE).buffer);
    const embed = embedByTable(ort, { rows: ROWS, width, type: 'float32', data });
    const { maxRows } = gpu.workarounds;
    const decoder = new StepwiseDecoder({ ort, embed, session, memory, positions: ROWS, maxRows });
    decoders.push(decoder);
    return decoder;
  };
  try {
    const [onGpu, onCpu] = [await open(layer, gpu.device), await open(cpuLayer)];
    const expected = await prefill(onCpu, [ROWS], signal);
    for (const chunks of [[ROWS], CHUNKS]) {
      const actual = await prefill(onGpu, chunks, signal);
      const what = `logits after ${chunks.join(' and ')} rows differ from the CPU's`;
      checkDifference(expected, actual, LAYER_TOLERANCE[precision], what);
    }
  } finally {
    for (const decoder of decoders) decoder.close();
    for (const session of sessions) await session.close();
  }
}

async function prefill(
  decoder: StepwiseDecoder,
  chunks: readonly number[],
  signal: AbortSignal,
): Promise<Float32Array> {
  await withinMemory(() => decoder.reset(ROWS));
  let next = 0;
  for (const rows of chunks) {
    const ids = Int32Array.from({ length: rows }, () => next++);
    await decoder.prefill(ids, -1, [], signal);
  }
  return decoder.logits();
}
