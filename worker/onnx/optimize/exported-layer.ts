import { isDecoderInput, LOGITS } from '../decoder-ports.ts';
import type { GraphFile } from '../model/external-data.ts';
import { decode } from '../model/graph.ts';
import { opaque } from '../model/graph-edit.ts';
import { extractLayer } from './extract-layer.ts';
import { encodeOptimized, type OptimizedGraph } from './pass.ts';

/**
 * The first layer of a decoder that runs as exported, for the self-test; or why there is none.
 *
 * @throws NearsightError `load_failed` if the bytes are not an ONNX model
 */
export function exportedLayer(file: GraphFile): OptimizedGraph | string {
  const graph = decode(file);
  const reason = opaque(graph);
  if (reason !== undefined) return reason;
  const layer = extractLayer(graph, LOGITS);
  if (!layer) return 'its layers are not recognised';
  // States of convolutions, for example.
  const other = layer.inputs.find(({ name }) => !isDecoderInput(name));
  return other ? `it has the input ${other.name}` : encodeOptimized(graph, [], layer);
}
