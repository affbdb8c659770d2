import type { ByteSource } from '../../src/bytes/file-bytes.ts';
import { freeMemory } from '../../src/bytes/free-memory.ts';
import { LazyBytes } from '../../src/bytes/lazy-bytes.ts';
import { NearsightError } from '../../src/protocol/errors.ts';
import type { Embedder } from '../backend/embedder.ts';
import type { Tensor } from '../onnx/ort.ts';
import type { EmbeddingTable } from '../onnx/embedding-table.ts';
import { ZERO_POINT } from '../onnx/optimize/quantized-matrix.ts';
import { rowsOf } from '../onnx/tensor.ts';
import { COPY_DST, COPY_SRC, STORAGE } from './buffer-usage.ts';
import { bind, compile, dispatch, type Kernel } from './kernel.ts';

const LANES = 64;

/** Bytes written to the queue at once. */
const UPLOAD_BYTES = 4 << 20;

/**
 * The vocabulary's embeddings in buffers, and kernels that copy rows of them into the decoder's input. Tables in half
 * precision and in 4 bits are converted by the kernels, which needs no `shader-f16`.
 */
export class GpuEmbedder implements Embedder {
  readonly width: number;
  readonly embeddings: GPUBuffer;
  readonly lastPosition: GPUBuffer;
  readonly totalLength: GPUBuffer;
  readonly #device: GPUDevice;
  /** Numbers, or levels, scales and zero points. */
  readonly #table: readonly GPUBuffer[];
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
    this.#table = partsOf(table).map(({ byteLength }) =>
      device.createBuffer({ label: 'embedding', size: wholeWords(byteLength), usage: STORAGE | COPY_DST }),
    );
    this.#ids = device.createBuffer({ label: 'ids', size: maxRows * 4, usage });
    this.embeddings = device.createBuffer({ label: 'inputs_embeds', size: maxRows * table.width * 4, usage });
    this.lastPosition = device.createBuffer({ label: 'seqlens_k', size: 16, usage });
    this.totalLength = device.createBuffer({ label: 'total_sequence_length', size: 16, usage });
    const module = device.createShaderModule({ label: 'embedding', code: shader(table) });
    const kernel = (name: string, ...buffers: GPUBuffer[]): Kernel =>
      bind(device, compile(device, module, name), [...this.#table, ...buffers]);
    this.#embedTokens = kernel('embed_tokens', this.#ids, this.embeddings);
    this.#embedSampled = kernel('embed_sampled', sampled, this.embeddings, this.lastPosition, this.totalLength);
  }

  get buffers(): number {
    return this.#table.length + 4;
  }

  /** Whether a device can hold and bind the table. */
  static fits(table: EmbeddingTable, limits: GPUSupportedLimits): boolean {
    const most = Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize);
    // A word has two halves, or eight levels of one block.
    const isWhole = table.blocks ? table.blocks.size % 8 === 0 : table.width % 2 === 0;
    return isWhole && partsOf(table).every(({ byteLength }) => byteLength <= most);
  }

  /** Writes the table piece by piece, each after the GPU has the one before: a browser keeps copies until then. */
  async upload(table: EmbeddingTable): Promise<void> {
    for (const [part, data] of partsOf(table).entries()) await this.#write(data, this.#table[part]!);
  }

  async #write(data: ByteSource, buffer: GPUBuffer): Promise<void> {
    const size = data.byteLength;
    // Through one piece of memory: Chromium keeps each that was written until it collects garbage.
    const piece = new Uint8Array(Math.min(UPLOAD_BYTES, buffer.size));
    for (let at = 0; at < size; at += UPLOAD_BYTES) {
      const end = Math.min(at + UPLOAD_BYTES, size);
      if (data instanceof LazyBytes) {
        const bytes = data.subarray(at, end);
        piece.set(bytes);
        freeMemory(bytes);
      } else piece.set(data.subarray(at, end));
      this.#device.queue.writeBuffer(buffer, at, piece, 0, wholeWords(end - at));
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
    for (const buffer of [...this.#table, this.#ids, embeddings, lastPosition, totalLength]) buffer.destroy();
  }
}

/** Shaders and the queue take words of 4 bytes. */
function wholeWords(bytes: number): number {
  return Math.ceil(bytes / 4) * 4;
}

function partsOf({ data, blocks }: EmbeddingTable): ByteSource[] {
  return [data, blocks?.scales, blocks?.zeroPoints].filter((part) => part !== undefined);
}

/** How many words a row has, and the WGSL that writes what `word` of it holds, the one at `at`. */
function conversion({ width, type, blocks }: EmbeddingTable): { words: number; code: string } {
  // Copies bits: a shader may not change numbers on the way.
  if (type === 'float32') return { words: width, code: `embeddings[row * ${width}u + at] = word;` };
  if (!blocks) {
    const code = /* wgsl */ `let pair = bitcast<vec2u>(unpack2x16float(word));
    embeddings[row * ${width}u + 2u * at] = pair.x;
    embeddings[row * ${width}u + 2u * at + 1u] = pair.y;`;
    return { words: width / 2, code };
  }
  const { size, zeroPoints } = blocks;
  const count = width / size;
  const zero = zeroPoints
    ? `i32((zero_points[byte / 4u] >> (byte % 4u * 8u + block % 2u * 4u)) & 15u)`
    : String(ZERO_POINT);
  const code = /* wgsl */ `let block = at * 8u / ${size}u;
    let byte = ids[row] * ${Math.ceil(count / 2)}u + block / 2u;
    let zero = ${zero};
    let scale = scales[ids[row] * ${count}u + block];
    for (var nibble = 0u; nibble < 8u; nibble++) {
      let level = i32((word >> (nibble * 4u)) & 15u);
      embeddings[row * ${width}u + 8u * at + nibble] = bitcast<u32>(f32(level - zero) * scale);
    }`;
  return { words: width / 8, code };
}

function shader(table: EmbeddingTable): string {
  const { words, code } = conversion(table);
  const parts = ['table: array<u32>', 'scales: array<f32>', 'zero_points: array<u32>'].slice(0, partsOf(table).length);
  const declared = [
    ...parts.map((part) => `<storage, read> ${part}`),
    '<storage, read> ids: array<u32>',
    '<storage, read_write> embeddings: array<u32>',
    '<storage, read_write> last_position: array<i32>',
    '<storage, read_write> total_length: array<i32>',
  ];
  return /* wgsl */ `
${declared.map((text, binding) => `@group(0) @binding(${binding}) var${text};`).join('\n')}

fn look_up(row: u32, lane: u32) {
  let start = ids[row] * ${words}u;
  for (var at = lane; at < ${words}u; at += ${LANES}u) {
    let word = table[start + at];
    ${code}
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
