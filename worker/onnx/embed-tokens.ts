import { bytesIn } from '../../src/bytes/file-bytes.ts';
import { NearsightError } from '../../src/protocol/errors.ts';
import type { Ort, Tensor } from './ort.ts';
import type { Session } from './ort-session.ts';
import type { EmbeddingBlocks, EmbeddingTable } from './embedding-table.ts';
import { ZERO_POINT } from './optimize/quantized-matrix.ts';
import { int64, halfToFloat } from './tensor.ts';

/** Returns the embeddings of token ids, [1, ids, hidden]. The caller must release them. */
export type Embed = (ids: Int32Array) => Promise<Tensor>;

/** Embeds tokens with the model's embedding graph. */
export function embedByGraph(ort: Ort, session: Session): Embed {
  return async (ids) => {
    const { inputs_embeds: embeddings } = await session.run({ input_ids: int64(ort, ids, [1, ids.length]) });
    if (!embeddings) throw new NearsightError('internal', 'The embedding graph returned no inputs_embeds.');
    return embeddings;
  };
}

/** Embeds tokens from a table, which is kept in memory: reading a file at every token would take longer than the rest. */
export function embedByTable(ort: Ort, table: EmbeddingTable): Embed {
  const look = table.blocks ? dequantizedRows(table, table.blocks) : floatRows(table);
  return async (ids) => new ort.Tensor('float32', look(ids), [1, ids.length, table.width]);
}

type LookUp = (ids: Int32Array) => Float32Array;

function floatRows({ width, type, data }: EmbeddingTable): LookUp {
  const rowBytes = width * (type === 'float16' ? 2 : 4);
  const table = bytesIn(data);
  return (ids) => {
    // As bytes, because the table may start at any byte offset of its file.
    const bytes = new Uint8Array(ids.length * rowBytes);
    for (const [row, id] of ids.entries())
      bytes.set(table.subarray(id * rowBytes, (id + 1) * rowBytes), row * rowBytes);
    return type === 'float16' ? halfToFloat(new Uint16Array(bytes.buffer)) : new Float32Array(bytes.buffer);
  };
}

function dequantizedRows({ width, data }: EmbeddingTable, { size, scales, zeroPoints }: EmbeddingBlocks): LookUp {
  const [levels, zeros] = [bytesIn(data), zeroPoints && bytesIn(zeroPoints)];
  // Copied to align them.
  const factors = new Float32Array(new Uint8Array(bytesIn(scales)).buffer);
  const blocks = width / size;
  const nibble = (bytes: Uint8Array, at: number): number => ((bytes[at >> 1] ?? 0) >> ((at & 1) * 4)) & 15;
  return (ids) => {
    const floats = new Float32Array(ids.length * width);
    for (const [row, id] of ids.entries()) {
      for (let at = 0; at < width; at++) {
        const block = Math.floor(at / size);
        const zero = zeros ? nibble(zeros, id * 2 * Math.ceil(blocks / 2) + block) : ZERO_POINT;
        const level = nibble(levels, id * width + at);
        floats[row * width + at] = (level - zero) * (factors[id * blocks + block] ?? 0);
      }
    }
    return floats;
  };
}
