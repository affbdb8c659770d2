import { freeMemory } from '../../src/bytes/free-memory.ts';
import { LazyBytes } from '../../src/bytes/lazy-bytes.ts';
import { NearsightError } from '../../src/protocol/errors.ts';
import type { Embedder } from '../backend/embedder.ts';
import type { Tensor } from '../onnx/ort.ts';
import type { EmbeddingTable } from '../onnx/embedding-table.ts';
import { rowsOf } from '../onnx/tensor.ts';
import { COPY_DST, COPY_SRC, STORAGE } from './buffer-usage.ts';
import { bind, compile, dispatch, type Kernel } from './kernel.ts';

const LANES = 64;

/** Bytes written to the queue at once. */
const UPLOAD_BYTES = 4 << 20;

/**
 * The vocabulary's embeddings in a buffer, and kernels that copy rows of it into the decoder's input. Half-precision
 * tables are converted by the kernels, which needs no `shader-f16`.
 */
export class GpuEmbedder implements Embedder {
  readonly buffers = 5;
  readonly width: number;
  readonly embeddings: GPUBuffer;
  readonly lastPosition: GPUBuffer;
  readonly totalLength: GPUBuffer;
  readonly #device: GPUDevice;
  readonly #table: GPUBuffer;
  readonly #ids: GPUBuffer;
  readonly #embedTokens: Kernel;
  readonly #embedSampled: Kernel;

  /**
   * The caller must {@link upload} the table before anything is looked up.
   *
   * @param maxRows that are embedded at once
   * @param sampled holds the id of the token that a step reads
   */
  constructor(device: GPUDevice, table: EmbeddingTable, maxRows: number, sampled: GPUBuffer) {
    const usage = STORAGE | COPY_SRC | COPY_DST;
    this.#device = device;
    this.width = table.width;
    const size = table.data.byteLength;
    this.#table = device.createBuffer({ label: 'embedding', size, usage: STORAGE | COPY_DST });
    this.#ids = device.createBuffer({ label: 'ids', size: maxRows * 4, usage });
    this.embeddings = device.createBuffer({ label: 'inputs_embeds', size: maxRows * table.width * 4, usage });
    this.lastPosition = device.createBuffer({ label: 'seqlens_k', size: 16, usage });
    this.totalLength = device.createBuffer({ label: 'total_sequence_length', size: 16, usage });
    const module = device.createShaderModule({ label: 'embedding', code: shader(table) });
    const kernel = (name: string, ...buffers: GPUBuffer[]): Kernel =>
      bind(device, compile(device, module, name), [this.#table, ...buffers]);
    this.#embedTokens = kernel('embed_tokens', this.#ids, this.embeddings);
    this.#embedSampled = kernel('embed_sampled', sampled, this.embeddings, this.lastPosition, this.totalLength);
  }

  /** Whether a device can hold and bind the table. */
  static fits({ data, width }: EmbeddingTable, limits: GPUSupportedLimits): boolean {
    return data.byteLength <= Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize) && width % 2 === 0;
  }

  /** Writes the table piece by piece, each after the GPU has the one before: a browser keeps copies until then. */
  async upload({ data }: EmbeddingTable): Promise<void> {
    const size = data.byteLength;
    // Through one piece of memory: Chromium keeps each that was written until it collects garbage.
    const piece = new Uint8Array(Math.min(UPLOAD_BYTES, size));
    for (let at = 0; at < size; at += UPLOAD_BYTES) {
      const end = Math.min(at + UPLOAD_BYTES, size);
      if (data instanceof LazyBytes) {
        const bytes = data.subarray(at, end);
        piece.set(bytes);
        freeMemory(bytes);
      } else piece.set(data.subarray(at, end));
      this.#device.queue.writeBuffer(this.#table, at, piece, 0, end - at);
      await this.#device.queue.onSubmittedWorkDone();
    }
  }

  embedTokens(encoder: GPUCommandEncoder, ids: Int32Array<ArrayBuffer>): void {
    this.#device.queue.writeBuffer(this.#ids, 0, ids);
    const pass = encoder.beginComputePass();
    dispatch(pass, this.#embedTokens, ids.length);
    pass.end();
  }

  copyRows(encoder: GPUCommandEncoder, features: Tensor, row: number, count: number, at: number): void {
    const { width } = rowsOf(features);
    if (features.type !== 'float32' || width !== this.width) {
      const message = `The vision encoder returns rows of ${width} ${features.type}, the decoder takes ${this.width} float32.`;
      throw new NearsightError('load_failed', message);
    }
    const bytes = width * 4;
    encoder.copyBufferToBuffer(features.gpuBuffer, row * bytes, this.embeddings, at * bytes, count * bytes);
  }

  embedSampled(pass: GPUComputePassEncoder): void {
    dispatch(pass, this.#embedSampled, 1);
  }

  setLength(length: number): void {
    this.#device.queue.writeBuffer(this.lastPosition, 0, Int32Array.of(length - 1));
    this.#device.queue.writeBuffer(this.totalLength, 0, Int32Array.of(length));
  }

  clear(encoder: GPUCommandEncoder): void {
    encoder.clearBuffer(this.embeddings);
    encoder.clearBuffer(this.#ids);
  }

  close(): void {
    const { embeddings, lastPosition, totalLength } = this;
    for (const buffer of [this.#table, this.#ids, embeddings, lastPosition, totalLength]) buffer.destroy();
  }
}

/** Copies bits: a shader may not change numbers on the way. */
function shader({ width, type }: EmbeddingTable): string {
  const halves = type === 'float16';
  const words = halves ? width / 2 : width;
  const copy = halves
    ? `let pair = bitcast<vec2u>(unpack2x16float(word));
    embeddings[row * ${width}u + 2u * at] = pair.x;
    embeddings[row * ${width}u + 2u * at + 1u] = pair.y;`
    : `embeddings[row * ${width}u + at] = word;`;
  return /* wgsl */ `
@group(0) @binding(0) var<storage, read> table: array<u32>;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read_write> embeddings: array<u32>;
@group(0) @binding(3) var<storage, read_write> last_position: array<i32>;
@group(0) @binding(4) var<storage, read_write> total_length: array<i32>;

fn look_up(row: u32, lane: u32) {
  let start = ids[row] * ${words}u;
  for (var at = lane; at < ${words}u; at += ${LANES}u) {
    let word = table[start + at];
    ${copy}
  }
}

@compute @workgroup_size(${LANES})
fn embed_tokens(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  look_up(group.x, lane);
}

@compute @workgroup_size(${LANES})
fn embed_sampled(@builtin(local_invocation_index) lane: u32) {
  look_up(0u, lane);
  if (lane == 0u) {
    last_position[0] += 1;
    total_length[0] += 1;
  }
}
`;
}
