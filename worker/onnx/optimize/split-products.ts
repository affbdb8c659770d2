import { type Graph, makeTensor, type Node, UINT8 } from '../model/graph.ts';
import { makeNode, prune, setInt, Wiring } from '../model/graph-edit.ts';
import { dequantizedBytes, type QuantizedMatrix, quantizedMatrix, splitMatrix } from './quantized-matrix.ts';

/**
 * Splits products with large 4-bit matrices into several, for the CPU: onnxruntime makes a float32 copy of a matrix for each
 * product there, 113 MB for SmolVLM's head, and the heap of wasm never shrinks.
 *
 * @param maxBytes of a copy
 */
export function splitProducts(graph: Graph, maxBytes: number): void {
  const wiring = new Wiring(graph);
  graph.nodes = graph.nodes.flatMap((node) => {
    const matrix = quantizedMatrix(wiring, node);
    return matrix && dequantizedBytes(matrix) > maxBytes ? split(graph, node, splitMatrix(matrix, maxBytes)) : node;
  });
  prune(graph);
}

function split(graph: Graph, node: Node, parts: readonly QuantizedMatrix[]): Node[] {
  const [input = '', weights = '', scales = ''] = node.inputs;
  const outputs = parts.map((_, index) => `${node.outputs[0]}/${index}`);
  const nodes = parts.map((part, index) => {
    const names = [`${weights}/${index}`, `${scales}/${index}`] as const;
    const blocks = part.rows / part.block;
    const add = (name: string, type: number, dims: number[], data: QuantizedMatrix['levels']): void =>
      void graph.tensors.set(name, makeTensor(name, type, dims, data));
    add(names[0], UINT8, [part.columns, blocks, part.block / 2], part.levels);
    add(names[1], part.scaleType, [part.columns, blocks], part.scales);
    const product = { ...node, name: outputs[index] ?? '', inputs: [input, ...names], outputs: [outputs[index] ?? ''] };
    product.attributes = new Map(node.attributes);
    setInt(product, 'N', part.columns);
    return product;
  });
  return [...nodes, makeNode('Concat', outputs, node.outputs, { axis: -1 })];
}
