import { bytesIn } from '../../src/bytes/file-bytes.ts';
import { NearsightError } from '../../src/protocol/errors.ts';
import type { Ort, Tensor } from './ort.ts';
import type { Session } from './ort-session.ts';
import type { EmbeddingTable } from './embedding-table.ts';
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
export function embedByTable(ort: Ort, { width, type, data }: EmbeddingTable): Embed {
  const rowBytes = width * (type === 'float16' ? 2 : 4);
  const table = bytesIn(data);
  return async (ids) => {
    // As bytes, because the table may start at any byte offset of its file.
    const bytes = new Uint8Array(ids.length * rowBytes);
    for (const [row, id] of ids.entries())
      bytes.set(table.subarray(id * rowBytes, (id + 1) * rowBytes), row * rowBytes);
    const floats = type === 'float16' ? halfToFloat(new Uint16Array(bytes.buffer)) : new Float32Array(bytes.buffer);
    return new ort.Tensor('float32', floats, [1, ids.length, width]);
  };
}
