import type { Graph, Node } from '../model/graph.ts';
import { prune, Wiring } from '../model/graph-edit.ts';
import { done, type PassName, type PassOutcome, skipped } from './pass.ts';

/**
 * Fuses the operators around each node of one type, where `fuse` finds the pattern.
 *
 * @param absent the reason for skipping the pass where no pattern is found
 */
export function fuseAround(
  graph: Graph,
  pass: PassName,
  type: string,
  absent: string,
  fuse: (wiring: Wiring, node: Node) => boolean,
): PassOutcome {
  const wiring = new Wiring(graph);
  const fused = graph.nodes.filter((node) => node.type === type).filter((node) => fuse(wiring, node));
  if (fused.length === 0) return skipped(pass, absent);
  graph.opsets.set('com.microsoft', 1);
  prune(graph);
  return done(pass);
}

/** Makes a node another operator, which computes the same outputs from these inputs. */
export function setOperator(node: Node, type: string, inputs: string[]): void {
  node.type = type;
  node.inputs = inputs;
  node.attributes.clear();
}
