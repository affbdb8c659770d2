import type { ByteSource } from '../../src/bytes/file-bytes.ts';
import { INPUTS_EMBEDS } from './decoder-ports.ts';
import type { GraphFile } from './model/external-data.ts';
import { decode, FLOAT, FLOAT16 } from './model/graph.ts';
import { intAttribute, opaque, Wiring } from './model/graph-edit.ts';

/** Embeddings of all tokens: `rows` times `width` numbers. */
export interface EmbeddingTable {
  rows: number;
  width: number;
  type: 'float32' | 'float16';
  /** A view into the file, at any byte offset. */
  data: ByteSource;
}

/**
 * Finds the table in a graph that only gathers its rows, and casts them to float32 if they are float16. Such a graph need
 * not be opened: the table is enough to embed tokens.
 *
 * @returns undefined for any other graph
 */
export function embeddingTable(model: GraphFile): EmbeddingTable | undefined {
  const graph = decode(model);
  const inputs = graph.inputs.filter(({ name }) => !graph.tensors.has(name));
  if (opaque(graph) !== undefined || inputs.length !== 1) return undefined;
  const wiring = new Wiring(graph);
  const cast = wiring.producer(INPUTS_EMBEDS, 'Cast');
  const gather = wiring.producer(cast ? cast.inputs[0] : INPUTS_EMBEDS, 'Gather');
  if (!gather || gather.inputs[1] !== 'input_ids' || intAttribute(gather, 'axis', 0) !== 0) return undefined;
  if (cast && intAttribute(cast, 'to', 0) !== FLOAT) return undefined;
  const table = wiring.tensor(gather.inputs[0]);
  const [rows = 0, width = 0, ...more] = table?.dims ?? [];
  if (!table?.data || rows === 0 || width === 0 || more.length > 0) return undefined;
  const type = table.type === FLOAT ? 'float32' : table.type === FLOAT16 ? 'float16' : undefined;
  // No known decoder takes float16 embeddings, so this could not be tested.
  if (!type || (type === 'float16' && !cast)) return undefined;
  if (table.data.byteLength !== rows * width * (type === 'float16' ? 2 : 4)) return undefined;
  return { rows, width, type, data: table.data };
}
