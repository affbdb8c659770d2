import { NearsightError } from '../../src/protocol/errors.ts';
import type { Ort, Tensor } from './ort.ts';
import type { Session } from './ort-session.ts';
import type { EmbeddingTable } from './embedding-table.ts';
import { int64, halfToFloat } from './tensor.ts';

/** Gives token ids their embeddings, [1, ids, hidden]. The caller releases them. */
export type Embed = (ids: Int32Array) => Promise<Tensor>;

/** By the model's own graph, wherever that runs. */
export function embedByGraph(ort: Ort, session: Session): Embed {
  return async (ids) => {
    const { inputs_embeds: embeddings } = await session.run({ input_ids: int64(ort, ids, [1, ids.length]) });
    if (!embeddings) throw new NearsightError('internal', 'The embedding graph gave no inputs_embeds.');
    return embeddings;
  };
}

/** By looking them up, in memory. */
export function embedByTable(ort: Ort, { width, type, data }: EmbeddingTable): Embed {
  const rowBytes = width * (type === 'float16' ? 2 : 4);
  return async (ids) => {
    // Bytes first: the table may begin anywhere in its file.
    const bytes = new Uint8Array(ids.length * rowBytes);
    for (const [row, id] of ids.entries()) bytes.set(data.subarray(id * rowBytes, (id + 1) * rowBytes), row * rowBytes);
    const floats = type === 'float16' ? halfToFloat(new Uint16Array(bytes.buffer)) : new Float32Array(bytes.buffer);
    return new ort.Tensor('float32', floats, [1, ids.length, width]);
  };
}
