import { type ByteSource, bytesIn, FileBytes } from '../../src/bytes/file-bytes.ts';
import { freeMemory } from '../../src/bytes/free-memory.ts';
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

/** More bytes that nobody needs are not read to save a read: each takes a millisecond in Chromium, whatever its size. */
const MAX_GAP = 512 << 10;
const MAX_READ = 4 << 20;

/**
 * Embeds tokens from a table.
 *
 * @param maxMemory bytes. A larger table that is on disk stays there, and its rows are read when they are needed: a
 *   millisecond for each token in Chromium. Default: any table is kept in memory
 */
export function embedByTable(ort: Ort, table: EmbeddingTable, maxMemory = Infinity): Embed {
  const look = table.blocks ? dequantizedRows(table, table.blocks, maxMemory) : floatRows(table, maxMemory);
  return async (ids) => new ort.Tensor('float32', look(ids), [1, ids.length, table.width]);
}

type LookUp<Row> = (ids: Int32Array) => Row;

function floatRows({ rows, type, data }: EmbeddingTable, maxMemory: number): LookUp<Float32Array> {
  const read = rowReader(data, rows, maxMemory);
  return (ids) => {
    const { buffer } = read(ids);
    return type === 'float16' ? halfToFloat(new Uint16Array(buffer)) : new Float32Array(buffer);
  };
}

function dequantizedRows(
  { rows, width, data }: EmbeddingTable,
  { size, scales, zeroPoints }: EmbeddingBlocks,
  maxMemory: number,
): LookUp<Float32Array> {
  const [readLevels, readScales] = [rowReader(data, rows, maxMemory), rowReader(scales, rows, maxMemory)];
  const readZeros = zeroPoints && rowReader(zeroPoints, rows, maxMemory);
  const blocks = width / size;
  const nibble = (bytes: Uint8Array, at: number): number => ((bytes[at >> 1] ?? 0) >> ((at & 1) * 4)) & 15;
  return (ids) => {
    const [levels, factors, zeros] = [readLevels(ids), new Float32Array(readScales(ids).buffer), readZeros?.(ids)];
    const floats = new Float32Array(ids.length * width);
    for (let at = 0; at < floats.length; at++) {
      const block = Math.floor(at / size);
      const row = Math.floor(at / width);
      const zero = zeros ? nibble(zeros, row * 2 * Math.ceil(blocks / 2) + block - row * blocks) : ZERO_POINT;
      floats[at] = (nibble(levels, at) - zero) * (factors[block] ?? 0);
    }
    return floats;
  };
}

/** Copies rows of a table, as bytes: the table may start at any byte offset of its file. */
function rowReader(source: ByteSource, rows: number, maxMemory: number): LookUp<Uint8Array<ArrayBuffer>> {
  const rowBytes = source.byteLength / rows;
  const onDisk = source instanceof FileBytes && source.byteLength > maxMemory ? source : undefined;
  const table = onDisk ?? bytesIn(source);
  return (ids) => {
    const found = new Uint8Array(ids.length * rowBytes);
    const order = [...ids.keys()].sort((a, b) => (ids[a] ?? 0) - (ids[b] ?? 0));
    const startOf = (at: number): number => (ids[order[at] ?? 0] ?? 0) * rowBytes;
    for (let at = 0, end = 1; at < order.length; at = end++) {
      const from = startOf(at);
      while (end < order.length && startOf(end) - startOf(end - 1) <= MAX_GAP && startOf(end) - from < MAX_READ) end++;
      const until = startOf(end - 1) + rowBytes;
      const read = onDisk?.subarray(from, until);
      const part = read ?? table.subarray(from, until);
      for (const index of order.slice(at, end)) {
        const start = (ids[index] ?? 0) * rowBytes - from;
        found.set(part.subarray(start, start + rowBytes), index * rowBytes);
      }
      if (read) freeMemory(read);
    }
    return found;
  };
}
