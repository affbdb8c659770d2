import { FLOAT, type Graph, makeLazyTensor, type Node } from '../model/graph.ts';
import { intAttribute, makeNode, prune, setInt, Wiring } from '../model/graph-edit.ts';
import { done, type PassOutcome, skipped } from './pass.ts';

const PRODUCT = 'com.microsoft.MatMulNBits';

/** What stands for zero where there are no zero points. */
const ZERO = 8;

/**
 * Larger matrices are made in parts. Of each there are two copies for a moment, here and in onnxruntime's heap, and two
 * there while it is packed: in parts, SmolVLM's table of logits (113 MB) takes 159 MB less of onnxruntime's heap.
 */
const PART_BYTES = 32 << 20;

/** Room for widened weights. */
export interface MemoryBudget {
  /** Most bytes that they may have; with more, nothing is widened. */
  bytes: number;
  /** Why no more; absent where there is plenty. */
  reason?: string;
}

/**
 * Makes ordinary matrices of 4-bit ones, for wasm: onnxruntime has no kernel there that reads 4 bits, so it widens
 * each matrix anew at every step, which takes ten times as long as multiplying with it. The same numbers, so the same
 * products but for the order of their sums.
 *
 * They are made one by one while the graph is opened, in the order of their levels, which onnxruntime transposes when
 * it packs them.
 */
export function dequantizeWeights(graph: Graph, room: MemoryBudget): PassOutcome {
  const wiring = new Wiring(graph);
  const matrices = new Map<Node, Packed>();
  for (const node of graph.nodes) {
    const matrix = packed(wiring, node);
    if (matrix) matrices.set(node, matrix);
  }
  if (matrices.size === 0) return skipped('widen', 'no matrix is packed in 4 bits without zero points');
  const bytes = [...matrices.values()].reduce((sum, matrix) => sum + dequantizedBytes(matrix), 0);
  if (bytes > room.bytes) {
    const why = room.reason === undefined ? '' : `; ${room.reason}`;
    return skipped('widen', `the weights would take ${bytes} bytes, over ${room.bytes}${why}`);
  }
  graph.nodes = graph.nodes.flatMap((node) => {
    const matrix = matrices.get(node);
    return matrix ? product(graph, node, matrix) : node;
  });
  prune(graph);
  return done('widen');
}

/** A matrix of `columns` rows of `rows` levels in memory, in blocks that have a scale each. */
interface Packed {
  rows: number;
  columns: number;
  block: number;
  levels: Uint8Array;
  /** Float32, anywhere in the file. */
  scales: Uint8Array;
}

function dequantizedBytes({ rows, columns }: Packed): number {
  return rows * columns * 4;
}

function packed(wiring: Wiring, node: Node): Packed | undefined {
  // A fourth input would be zero points, a group index or a bias.
  if (node.type !== PRODUCT || node.inputs.length !== 3 || intAttribute(node, 'bits', 4) !== 4) return undefined;
  const [rows, columns, block] = ['K', 'N', 'block_size'].map((name) => intAttribute(node, name, 0));
  const levels = wiring.tensor(node.inputs[1])?.data;
  const scales = wiring.tensor(node.inputs[2]);
  if (!rows || !columns || !block || block % 2 !== 0 || rows % block !== 0 || !levels || !scales?.data)
    return undefined;
  if (scales.type !== FLOAT || scales.data.length !== (rows / block) * columns * 4) return undefined;
  if (levels.length !== (rows * columns) / 2) return undefined;
  return { rows, columns, block, levels, scales: scales.data };
}

/** What stands for a node: its product with the widened matrix, or with each of its parts, laid side by side. */
function product(graph: Graph, node: Node, matrix: Packed): Node[] {
  const [input = '', weights = '', scales = ''] = node.inputs;
  const parts = split(matrix);
  const outputs = parts.length === 1 ? node.outputs : parts.map((_, index) => `${node.outputs[0]}/${index}`);
  const nodes = parts.map((part, index) => {
    const name = `${weights}/${scales}/widened/${index}`;
    // Two nodes may share their weights.
    if (!graph.tensors.has(name)) {
      const location = `nearsight.widened.${graph.tensors.size}`;
      const late = { location, bytes: dequantizedBytes(part), make: () => new Uint8Array(dequantize(part).buffer) };
      graph.tensors.set(name, makeLazyTensor(name, FLOAT, [part.columns, part.rows], late));
    }
    const multiply = makeNode('com.microsoft.FusedMatMul', [input, name], [outputs[index] ?? '']);
    setInt(multiply, 'transB', 1);
    return multiply;
  });
  if (parts.length === 1) return nodes;
  const join = makeNode('Concat', outputs, node.outputs);
  setInt(join, 'axis', -1);
  return [...nodes, join];
}

function split(matrix: Packed): Packed[] {
  const { rows, columns, block, levels, scales } = matrix;
  const each = Math.ceil(columns / Math.ceil(dequantizedBytes(matrix) / PART_BYTES));
  const parts: Packed[] = [];
  for (let from = 0; from < columns; from += each) {
    const to = Math.min(from + each, columns);
    parts.push({
      rows,
      columns: to - from,
      block,
      levels: levels.subarray((from * rows) / 2, (to * rows) / 2),
      scales: scales.subarray(((from * rows) / block) * 4, ((to * rows) / block) * 4),
    });
  }
  return parts;
}

function dequantize({ rows, columns, block, levels, scales }: Packed): Float32Array<ArrayBuffer> {
  const matrix = new Float32Array(rows * columns);
  let at = 0;
  // Copied, because floats must be aligned.
  for (const scale of new Float32Array(new Uint8Array(scales).buffer)) {
    for (const end = at + block; at < end; at += 2) {
      const pair = levels[at >> 1] ?? 0;
      matrix[at] = ((pair & 15) - ZERO) * scale;
      matrix[at + 1] = ((pair >> 4) - ZERO) * scale;
    }
  }
  return matrix;
}
