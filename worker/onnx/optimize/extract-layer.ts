import { type Graph, makeInts, makeValue, type Node } from '../model/graph.ts';
import { intsAttribute, makeNode, prune, Wiring } from '../model/graph-edit.ts';
import { ATTENTION } from './feed-lengths.ts';

/** Each layer has one of these: attention, or its softmax if it is not fused. */
const ATTENTION_NODES: readonly string[] = [ATTENTION, 'com.microsoft.MultiHeadAttention', 'Softmax'];

/** Operators that normalise rows, with the index of their weight: the inputs before it are what they normalise. */
const NORMS: ReadonlyMap<string, number> = new Map([
  ['LayerNormalization', 1],
  ['SimplifiedLayerNormalization', 1],
  ['com.microsoft.SkipSimplifiedLayerNormalization', 2],
  ['com.microsoft.SkipLayerNormalization', 2],
]);

/**
 * A decoder with only its first layer, final norm and head, with the same weights, operators and shapes: small enough for
 * the CPU to compute it too.
 *
 * @returns undefined for a graph of one layer, or one whose layers are not recognised
 */
export function extractLayer(graph: Graph, output: string): Graph | undefined {
  const joined = join(graph, output);
  if (!joined) return undefined;
  const kept = new Set([output, ...joined.mixer.outputs]);
  const outputs = graph.outputs.filter(({ name }) => kept.has(name));
  const part: Graph = { ...graph, nodes: joined.nodes, outputs };
  prune(part);
  return part;
}

/** Enough patches to run the kernels that a whole crop runs; all of SmolVLM's 1,024 take the CPU ten times as long. */
const MAX_PATCHES = 64;

/**
 * The first layer of a vision encoder and its final norm, whose result becomes the output. All patches of a crop are
 * embedded; the layer gets some of them, evenly spaced.
 *
 * @param size edge of a crop, in pixels
 */
export function extractVisionLayer(graph: Graph, output: string, size: number): Graph | undefined {
  const joined = join(graph, output);
  const conv = graph.nodes.find(({ type }) => type === 'Conv');
  const [edge] = conv ? intsAttribute(conv, 'strides') : [];
  if (!joined || !edge) return undefined;
  const patches = Math.floor(size / edge) ** 2;
  const count = Math.min(MAX_PATCHES, patches);
  const indices = Array.from({ length: count }, (_, i) => Math.floor(((i + 0.5) * patches) / count));
  const first = joined.nodes.findIndex(({ type }) => NORMS.has(type));
  const all = joined.nodes[first]?.inputs[0] ?? '';
  const [sampled, index] = [`${all}/sampled`, `${all}/indices`];
  const nodes = joined.nodes.flatMap((node) => {
    const inputs = node.inputs.map((name) => (name === all ? sampled : name));
    if (node === joined.last) return { ...node, inputs, outputs: [output] };
    return node.outputs.includes(output) ? [] : { ...node, inputs };
  });
  nodes.splice(first, 0, makeNode('Gather', [all, index], [sampled], { axis: 1 }));
  const tensors = new Map(graph.tensors).set(index, makeInts(index, [count], indices));
  const part: Graph = { ...graph, nodes, tensors, outputs: [makeValue(output)] };
  prune(part);
  return part;
}

/**
 * Connects the final norm to the input of the second layer's first norm, which skips all layers but the first. Both norms
 * read the residual stream, so this works whatever a layer is made of.
 */
function join(graph: Graph, output: string): { nodes: Node[]; mixer: Node; last: Node } | undefined {
  const wiring = new Wiring(graph);
  const [mixer, second] = graph.nodes.filter(({ type }) => ATTENTION_NODES.includes(type));
  const final = lastNorm(graph, wiring.upstream([output]), () => true);
  if (!mixer || !second || !final) return undefined;
  const between = lastNorm(graph, wiring.upstream(second.inputs), (node) => isSameKind(wiring, node, final));
  if (!between || !wiring.upstream(between.inputs).has(mixer)) return undefined;
  const count = NORMS.get(final.type) ?? 0;
  const last: Node = { ...final, inputs: [...between.inputs.slice(0, count), ...final.inputs.slice(count)] };
  return { nodes: graph.nodes.map((node) => (node === final ? last : node)), mixer, last };
}

function lastNorm(graph: Graph, among: ReadonlySet<Node>, matches: (node: Node) => boolean): Node | undefined {
  return graph.nodes.findLast((node) => NORMS.has(node.type) && among.has(node) && matches(node));
}

/** True if two norms have the same type and width: norms of single heads are narrower. */
function isSameKind(wiring: Wiring, one: Node, other: Node): boolean {
  const width = ({ type, inputs }: Node): string | undefined =>
    wiring.tensor(inputs[NORMS.get(type) ?? 0])?.dims.join();
  return one.type === other.type && width(one) === width(other);
}
