import type { Graph } from '../model/graph.ts';
import { intAttribute } from '../model/graph-edit.ts';
import { ATTENTION } from './feed-lengths.ts';
import type { Skipped } from './pass.ts';

/**
 * Why the steps of a decoder cannot be captured on the GPU and replayed; undefined if they can, as far as the graph tells:
 * onnxruntime refuses to capture operators that run on the CPU.
 *
 * @param lengths why the graph computes its lengths itself, which it does on the CPU
 */
export function uncapturable(graph: Graph, lengths: Skipped): string | undefined {
  if (lengths !== undefined) return lengths;
  // Past its window, such a layer uses kernels that take lengths from the CPU.
  const windowed = graph.nodes.some(
    (node) => node.type === ATTENTION && intAttribute(node, 'local_window_size', -1) > 0,
  );
  return windowed ? 'attention has a window' : undefined;
}
