import { type ByteSource, partOf } from '../../../src/bytes/file-bytes.ts';
import { FLOAT, FLOAT16, type Node } from '../model/graph.ts';
import { intAttribute, type Wiring } from '../model/graph-edit.ts';

/** A product with a quantized matrix. */
export const MATMUL_NBITS = 'com.microsoft.MatMulNBits';

/** The level of zero, without zero points. */
export const ZERO_POINT = 8;

/** A transposed matrix of 4-bit levels: `columns` runs of `rows` levels, in blocks with one scale each. */
export interface QuantizedMatrix {
  rows: number;
  columns: number;
  block: number;
  levels: ByteSource;
  scaleType: number;
  /** At any byte offset. */
  scales: ByteSource;
}

/** What the matrix takes in float32. */
export function dequantizedBytes({ rows, columns }: QuantizedMatrix): number {
  return rows * columns * 4;
}

/** The matrix of a product, if it has 4 bits without zero points. */
export function quantizedMatrix(wiring: Wiring, node: Node): QuantizedMatrix | undefined {
  // A fourth input is zero points, a group index or a bias.
  if (node.type !== MATMUL_NBITS || node.inputs.length !== 3 || intAttribute(node, 'bits', 4) !== 4) return undefined;
  const [rows, columns, block] = ['K', 'N', 'block_size'].map((name) => intAttribute(node, name, 0));
  const levels = wiring.tensor(node.inputs[1])?.data;
  const { type: scaleType, data: scales } = wiring.tensor(node.inputs[2]) ?? {};
  if (!rows || !columns || !block || block % 2 !== 0 || rows % block !== 0 || !levels || !scales) return undefined;
  if (scaleType !== FLOAT && scaleType !== FLOAT16) return undefined;
  if (scales.byteLength !== (rows / block) * columns * (scaleType === FLOAT ? 4 : 2)) return undefined;
  if (levels.byteLength !== (rows * columns) / 2) return undefined;
  return { rows, columns, block, levels, scaleType, scales };
}

/** Splits a matrix by its columns into parts of at most `maxBytes` in float32, one column at least. */
export function splitMatrix(matrix: QuantizedMatrix, maxBytes: number): QuantizedMatrix[] {
  const { columns, levels, scales } = matrix;
  const perPart = Math.ceil(columns / Math.ceil(dequantizedBytes(matrix) / maxBytes));
  const [levelBytes, scaleBytes] = [levels.byteLength / columns, scales.byteLength / columns];
  const parts: QuantizedMatrix[] = [];
  for (let from = 0; from < columns; from += perPart) {
    const to = Math.min(from + perPart, columns);
    parts.push({
      ...matrix,
      columns: to - from,
      levels: partOf(levels, from * levelBytes, to * levelBytes),
      scales: partOf(scales, from * scaleBytes, to * scaleBytes),
    });
  }
  return parts;
}
