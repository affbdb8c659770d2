import type { GraphFile } from './model/external-data.ts';
import { decode, FLOAT, FLOAT16 } from './model/graph.ts';
import { intAttribute, opaque, Wiring } from './model/graph-edit.ts';

/** A vocabulary's embeddings: `rows` times `width` numbers. */
export interface EmbeddingTable {
  rows: number;
  width: number;
  type: 'float32' | 'float16';
  /** A view of the file it is in, at any offset. */
  data: Uint8Array;
}

/**
 * Finds the table in a graph that does nothing but look rows of it up, and widen them to float32 if they are halves.
 * Such a graph need not be opened: whoever has the table can look up where it suits him.
 *
 * @returns undefined if the graph does more than that, or anything else
 */
export function embeddingTable(model: Uint8Array | GraphFile): EmbeddingTable | undefined {
  const graph = decode(model);
  const inputs = graph.inputs.filter(({ name }) => !graph.tensors.has(name));
  if (opaque(graph) !== undefined || inputs.length !== 1) return undefined;
  const wiring = new Wiring(graph);
  const cast = wiring.producer('inputs_embeds', 'Cast');
  const gather = wiring.producer(cast ? cast.inputs[0] : 'inputs_embeds', 'Gather');
  if (!gather || gather.inputs[1] !== 'input_ids' || intAttribute(gather, 'axis', 0) !== 0) return undefined;
  if (cast && intAttribute(cast, 'to', 0) !== FLOAT) return undefined;
  const table = wiring.tensor(gather.inputs[0]);
  const [rows = 0, width = 0, ...more] = table?.dims ?? [];
  if (!table?.data || rows === 0 || width === 0 || more.length > 0) return undefined;
  const type = table.type === FLOAT ? 'float32' : table.type === FLOAT16 ? 'float16' : undefined;
  // Halves that stay halves are for decoders that take them: none is known, so none could be tested.
  if (!type || (type === 'float16' && !cast)) return undefined;
  if (table.data.length !== rows * width * (type === 'float16' ? 2 : 4)) return undefined;
  return { rows, width, type, data: table.data };
}
