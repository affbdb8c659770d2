import { FLOAT, type Graph, makeLateTensor, type Node } from '../graph.ts';
import { intAttribute, prune, setInt, Wiring } from '../graph-edit.ts';
import { done, type Outcome, refused } from './operation.ts';

const PRODUCT = 'com.microsoft.MatMulNBits';

/** What stands for zero where there are no zero points. */
const ZERO = 8;

/**
 * Makes ordinary matrices of 4-bit ones, for wasm: onnxruntime has no kernel there that reads 4 bits, so it widens
 * each matrix anew at every step, which takes ten times as long as multiplying with it. The same numbers, so the same
 * products but for the order of their sums.
 *
 * They are made one by one while the graph is opened, in the order of their levels, which onnxruntime transposes when
 * it packs them.
 *
 * @param budget most bytes that the widened weights may have; beyond, nothing is done
 */
export function widenWeights(graph: Graph, budget: number): Outcome {
  const wiring = new Wiring(graph);
  const products = graph.nodes.flatMap((node) => packed(wiring, node) ?? []);
  if (products.length === 0) return refused('widen', 'no matrix is packed in 4 bits without zero points');
  const bytes = products.reduce((sum, { rows, columns }) => sum + rows * columns * 4, 0);
  if (bytes > budget) return refused('widen', `the weights would take ${bytes} bytes, over ${budget}`);
  for (const [index, product] of products.entries()) {
    const { node, rows, columns } = product;
    const name = `${node.inputs[1]}/widened`;
    const late = {
      location: `nearsight.widened.${index}`,
      bytes: rows * columns * 4,
      make: () => new Uint8Array(widened(product).buffer),
    };
    graph.tensors.set(name, makeLateTensor(name, FLOAT, [columns, rows], late));
    node.type = 'com.microsoft.FusedMatMul';
    node.inputs = [node.inputs[0] ?? '', name];
    node.attributes.clear();
    setInt(node, 'transB', 1);
  }
  prune(graph);
  return done('widen');
}

/** A matrix of `columns` rows of `rows` levels in memory, in blocks that have a scale each. */
interface Packed {
  node: Node;
  rows: number;
  columns: number;
  block: number;
  levels: Uint8Array;
  /** Float32, anywhere in the file. */
  scales: Uint8Array;
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
  return { node, rows, columns, block, levels, scales: scales.data };
}

function widened({ rows, columns, block, levels, scales }: Packed): Float32Array<ArrayBuffer> {
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
