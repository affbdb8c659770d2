import type { Graph, Node } from '../model/graph.ts';
import { prune, Wiring } from '../model/graph-edit.ts';
import type { Skipped } from './pass.ts';

/**
 * Fuses the operators around each node of one type, where `fuse` finds the pattern.
 *
 * @param absent the reason for skipping the pass where no pattern is found
 */
export function fuseAround(
  graph: Graph,
  type: string,
  absent: string,
  fuse: (wiring: Wiring, node: Node) => boolean,
): Skipped {
  const wiring = new Wiring(graph);
  const fused = graph.nodes.filter((node) => node.type === type).filter((node) => fuse(wiring, node));
  if (fused.length === 0) return absent;
  graph.opsets.set('com.microsoft', 1);
  prune(graph);
  return undefined;
}

/** Makes a node another operator, which computes the same outputs from these inputs. */
export function setOperator(node: Node, type: string, inputs: string[]): void {
  node.type = type;
  node.inputs = inputs;
  node.attributes.clear();
}

/** Constants are compared at the narrowest precision that exporters use: half precision has 11 bits. */
const TOLERANCE = 2 ** -11;

/** A product or sum of a value and a scalar constant, in either order. */
export interface Scaled {
  value: string;
  by: number;
}

/** The operands of a node, if one is a scalar constant. */
export function scaled(wiring: Wiring, node: Node | undefined): Scaled | undefined {
  const [left, right] = node?.inputs ?? [];
  if (left === undefined || right === undefined) return undefined;
  const second = wiring.scalar(right);
  if (second !== undefined) return { value: left, by: second };
  const first = wiring.scalar(left);
  return first === undefined ? undefined : { value: right, by: first };
}

export function isNear(actual: number | undefined, expected: number): boolean {
  return actual !== undefined && Math.abs(actual - expected) <= TOLERANCE * Math.abs(expected);
}

/** The other operand of a binary operator, if one is `name`. */
export function partner(node: Node, name: string): string | undefined {
  const [left, right] = node.inputs;
  return left === name ? right : right === name ? left : undefined;
}

/** The only node that reads a value, if it is of this type. */
export function soleReader(wiring: Wiring, name: string | undefined, type: string): Node | undefined {
  const [found, ...others] = wiring.consumers(name);
  return found && others.length === 0 && found.type === type ? found : undefined;
}

/** True if a value is the square of `of`. */
export function isSquare(wiring: Wiring, name: string | undefined, of: string): boolean {
  const square = wiring.producer(name, 'Pow', 'Mul');
  if (!square || square.inputs[0] !== of) return false;
  return square.type === 'Pow' ? wiring.scalar(square.inputs[1]) === 2 : square.inputs[1] === of;
}
