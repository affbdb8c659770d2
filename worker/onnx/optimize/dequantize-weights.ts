import { bytesIn } from '../../../src/bytes/file-bytes.ts';
import { LazyBytes } from '../../../src/bytes/lazy-bytes.ts';
import { FLOAT, type Graph, type Node } from '../model/graph.ts';
import { makeNode, prune, Wiring } from '../model/graph-edit.ts';
import type { Skipped } from './pass.ts';
import {
  dequantizedBytes,
  type QuantizedMatrix,
  quantizedMatrix,
  splitMatrix,
  ZERO_POINT,
} from './quantized-matrix.ts';

/**
 * Larger matrices are split into parts. While a matrix is opened, JavaScript and onnxruntime's heap each hold a copy,
 * and the heap a second one while it is packed: in parts, SmolVLM's head (113 MB) takes 159 MB less of the heap.
 */
const MAX_PART_BYTES = 32 << 20;

/** Memory for dequantized weights. */
export interface MemoryBudget {
  /** Weights that would take more bytes stay quantized, all of them. */
  bytes: number;
  /** What limits the budget; absent on a device with plenty of memory. */
  reason?: string;
}

/**
 * Dequantizes 4-bit matrices once, for wasm: onnxruntime has no kernel there that reads 4 bits, and dequantizes each
 * matrix at every step, which takes ten times as long as the product. The numbers are the same, so products differ only
 * by the order of their sums.
 *
 * Matrices are dequantized one by one while the graph is opened, and stay transposed: onnxruntime transposes them when
 * it packs them.
 */
export function dequantizeWeights(graph: Graph, budget: MemoryBudget): Skipped {
  const wiring = new Wiring(graph);
  const matrices = new Map<Node, QuantizedMatrix>();
  for (const node of graph.nodes) {
    const matrix = quantizedMatrix(wiring, node);
    if (matrix?.scaleType === FLOAT) matrices.set(node, matrix);
  }
  if (matrices.size === 0) return 'no matrix has 4 bits without zero points';
  const bytes = [...matrices.values()].reduce((sum, matrix) => sum + dequantizedBytes(matrix), 0);
  if (bytes > budget.bytes) {
    const why = budget.reason === undefined ? '' : `; ${budget.reason}`;
    return `the weights would take ${bytes} bytes, over ${budget.bytes}${why}`;
  }
  const scratch = new Scratch();
  graph.nodes = graph.nodes.flatMap((node) => {
    const matrix = matrices.get(node);
    return matrix ? product(graph, node, matrix, scratch) : node;
  });
  prune(graph);
  return undefined;
}

/** The nodes that replace a quantized product: a product with each part of the matrix, concatenated. */
function product(graph: Graph, node: Node, matrix: QuantizedMatrix, scratch: Scratch): Node[] {
  const [input = '', weights = '', scales = ''] = node.inputs;
  const parts = splitMatrix(matrix, MAX_PART_BYTES);
  const outputs = parts.length === 1 ? node.outputs : parts.map((_, index) => `${node.outputs[0]}/${index}`);
  const nodes = parts.map((part, index) => {
    const name = `${weights}/${scales}/float32/${index}`;
    // Two nodes may share their weights.
    if (!graph.tensors.has(name)) {
      const lazy = { path: `nearsight.dequantized.${graph.tensors.size}`, data: lazyBytes(part, scratch) };
      const dims = [part.columns, part.rows];
      graph.tensors.set(name, { name, type: FLOAT, dims, data: undefined, lazy });
    }
    return makeNode('com.microsoft.FusedMatMul', [input, name], [outputs[index] ?? ''], { transB: 1 });
  });
  return parts.length === 1 ? nodes : [...nodes, makeNode('Concat', outputs, node.outputs, { axis: -1 })];
}

/** Memory that one matrix after the other is computed in: in new memory, each takes more than twice the time. */
class Scratch {
  #memory = new Float32Array();

  take(length: number): Float32Array<ArrayBuffer> {
    if (this.#memory.length < length) this.#memory = new Float32Array(length);
    return this.#memory.subarray(0, length);
  }
}

/** The part's bytes, which are computed when onnxruntime asks for them, so that JavaScript holds one tensor at a time. */
function lazyBytes(part: QuantizedMatrix, scratch: Scratch): LazyBytes {
  const make = (from: number, to: number): Uint8Array<ArrayBuffer> => {
    const matrix = scratch.take(part.rows * part.columns);
    dequantize(part, matrix);
    return new Uint8Array(matrix.buffer, matrix.byteOffset + from, to - from);
  };
  return new LazyBytes(dequantizedBytes(part), make, { isScratch: true });
}

function dequantize({ block, levels, scales }: QuantizedMatrix, into: Float32Array): void {
  // Those of a file are read only now.
  const pairs = bytesIn(levels);
  let at = 0;
  // Copied to align the floats.
  for (const scale of new Float32Array(new Uint8Array(bytesIn(scales)).buffer)) {
    for (const end = at + block; at < end; at += 2) {
      const pair = pairs[at >> 1] ?? 0;
      into[at] = ((pair & 15) - ZERO_POINT) * scale;
      into[at + 1] = ((pair >> 4) - ZERO_POINT) * scale;
    }
  }
}
