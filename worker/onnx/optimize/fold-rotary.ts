import { partOf } from '../../../src/bytes/file-bytes.ts';
import { type Graph, type Node, makeTensor } from '../model/graph.ts';
import { intAttribute, prune, setInt, Wiring } from '../model/graph-edit.ts';
import { AT, ATTENTION } from './feed-lengths.ts';
import { POSITION_IDS, SEQLENS_K } from '../decoder-ports.ts';
import type { Skipped } from './pass.ts';

const ROTARY = 'com.microsoft.RotaryEmbedding';

/**
 * Folds the two RotaryEmbedding nodes of each layer into its attention, which saves two dispatches and an input.
 *
 * Attention counts positions from the length of the cache, and rotates with the same tables by the same formula. This is
 * exact if `position_ids` are past, past + 1, …, as for one sequence without padding. Either all layers are folded or
 * none: the input can only be removed if no node reads it.
 */
export function foldRotary(graph: Graph): Skipped {
  const wiring = new Wiring(graph);
  const nodes = graph.nodes.filter(({ type }) => type === ATTENTION);
  if (nodes.every((node) => intAttribute(node, 'do_rotary', 0) === 1)) return 'attention rotates already';
  if (!nodes.every(({ inputs }) => inputs[AT.seqlensK] === SEQLENS_K)) return 'lengths are not inputs';
  const folds: Fold[] = [];
  for (const node of nodes) {
    const fold = findFold(wiring, node);
    if (typeof fold === 'string') return `${node.name}: ${fold}`;
    folds.push(fold);
  }
  for (const { node, query, key } of folds) {
    while (node.inputs.length < AT.sin + 1) node.inputs.push('');
    node.inputs[AT.query] = query.inputs[0] ?? '';
    node.inputs[AT.key] = key.inputs[0] ?? '';
    node.inputs[AT.cos] = query.inputs[2] ?? '';
    node.inputs[AT.sin] = query.inputs[3] ?? '';
    setInt(node, 'do_rotary', 1);
    setInt(node, 'rotary_interleaved', intAttribute(query, 'interleaved', 0));
  }
  prune(graph);
  return undefined;
}

interface Fold {
  node: Node;
  query: Node;
  key: Node;
}

/** The two rotations before an attention node, or why they cannot be folded. */
function findFold(wiring: Wiring, node: Node): Fold | string {
  if (intAttribute(node, 'do_rotary', 0) === 1) return 'rotates already, unlike others';
  const query = wiring.producer(node.inputs[AT.query], ROTARY);
  const key = wiring.producer(node.inputs[AT.key], ROTARY);
  if (!query || !key) return 'queries or keys do not come from a RotaryEmbedding';
  const [, positions, cos, sin] = query.inputs;
  if (positions !== POSITION_IDS || key.inputs[1] !== POSITION_IDS) return `positions are not ${POSITION_IDS} itself`;
  if (key.inputs[2] !== cos || key.inputs[3] !== sin) return 'queries and keys have tables of their own';
  const sameWay = ['interleaved', 'rotary_embedding_dim', 'is_packed_batching'].every(
    (name) => intAttribute(query, name, 0) === intAttribute(key, name, 0),
  );
  if (!sameWay || intAttribute(query, 'is_packed_batching', 0) !== 0) return 'queries and keys are rotated differently';
  // `scale` multiplies in some versions of the operator only; no exporter sets it.
  if ([query, key].some(({ attributes }) => attributes.has('scale'))) return 'the rotation scales';
  if (!wiring.tensor(cos) || !wiring.tensor(sin)) return 'rotary tables are computed';
  return { node, query, key };
}

/**
 * Trims the rotary tables to the context length: exporters write all positions that the model was trained for (67 MB a
 * table for 131,072). Exact, because no later position is ever read. The remaining rows are not copied.
 *
 * @param positions the largest number that a sequence will have
 */
export function trimRotaryTables(graph: Graph, positions: number): Skipped {
  const names = new Set<string>();
  for (const { type, inputs } of graph.nodes) {
    const tables = type === ATTENTION ? [AT.cos, AT.sin] : type === ROTARY ? [2, 3] : [];
    for (const at of tables) names.add(inputs[at] ?? '');
  }
  const wiring = new Wiring(graph);
  let trimmed = 0;
  for (const name of names) {
    const table = graph.tensors.get(name);
    const [rows = 0, width = 0] = table?.dims ?? [];
    if (!table?.data || table.dims.length !== 2 || rows <= positions) continue;
    if (!wiring.consumers(name).every(({ type }) => type === ATTENTION || type === ROTARY)) continue;
    const bytes = (table.data.byteLength / rows) * positions;
    if (!Number.isInteger(bytes)) continue;
    graph.tensors.set(name, makeTensor(name, table.type, [positions, width], partOf(table.data, 0, bytes)));
    trimmed++;
  }
  return trimmed > 0 ? undefined : `no table is longer than ${positions} rows`;
}
