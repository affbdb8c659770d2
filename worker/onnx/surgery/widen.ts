import { FLOAT, type Graph, makeTensor, type Node, type Tensor } from '../graph.ts';
import { intAttribute, prune, Wiring } from '../graph-edit.ts';
import { done, type Outcome, refused } from './operation.ts';

const PRODUCT = 'com.microsoft.MatMulNBits';

/** What stands for zero where there are no zero points. */
const ZERO = 8;

/**
 * Makes ordinary matrices of 4-bit ones, for wasm: onnxruntime has no kernel there that reads 4 bits, so it widens
 * each matrix anew at every step, which takes eight times as long as multiplying with it. The same numbers, so the same
 * products but for the order of their sums.
 *
 * @param budget most bytes that the widened weights may have; beyond, nothing is done
 */
export function widenWeights(graph: Graph, budget: number): Outcome {
  const wiring = new Wiring(graph);
  const products = graph.nodes.flatMap((node) => packed(wiring, node) ?? []);
  if (products.length === 0) return refused('widen', 'no matrix is packed in 4 bits without zero points');
  const bytes = products.reduce((sum, { rows, columns }) => sum + rows * columns * 4, 0);
  if (bytes > budget) return refused('widen', `the weights would take ${bytes} bytes, over ${budget}`);
  for (const product of products) {
    const { node, rows, columns } = product;
    const name = `${node.inputs[1]}/widened`;
    graph.tensors.set(name, makeTensor(name, FLOAT, [rows, columns], new Uint8Array(widened(product).buffer)));
    node.type = 'MatMul';
    node.inputs = [node.inputs[0] ?? '', name];
    node.attributes.clear();
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
  scales: DataView;
}

function packed(wiring: Wiring, node: Node): Packed | undefined {
  // A fourth input would be zero points, a group index or a bias.
  if (node.type !== PRODUCT || node.inputs.length !== 3 || intAttribute(node, 'bits', 4) !== 4) return undefined;
  const [rows, columns, block] = ['K', 'N', 'block_size'].map((name) => intAttribute(node, name, 0));
  const levels = wiring.tensor(node.inputs[1])?.data;
  const scales: Tensor | undefined = wiring.tensor(node.inputs[2]);
  if (!rows || !columns || !block || rows % block !== 0 || !levels || !scales?.data) return undefined;
  if (scales.type !== FLOAT || scales.data.length !== (rows / block) * columns * 4) return undefined;
  if (levels.length !== (rows * columns) / 2) return undefined;
  const { buffer, byteOffset, length } = scales.data;
  return { node, rows, columns, block, levels, scales: new DataView(buffer, byteOffset, length) };
}

/** The matrix as MatMul wants it, [rows, columns]. */
function widened({ rows, columns, block, levels, scales }: Packed): Float32Array<ArrayBuffer> {
  const matrix = new Float32Array(rows * columns);
  for (let column = 0; column < columns; column++) {
    for (let row = 0; row < rows; row++) {
      const at = column * rows + row;
      const pair = levels[at >> 1] ?? 0;
      const level = at & 1 ? pair >> 4 : pair & 15;
      matrix[row * columns + column] = (level - ZERO) * scales.getFloat32(Math.floor(at / block) * 4, true);
    }
  }
  return matrix;
}
