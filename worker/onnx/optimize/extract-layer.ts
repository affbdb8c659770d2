import type { GraphFile } from '../model/external-data.ts';
import { encode, type Graph, INT64, makeTensor, makeValue, type Node, weightFiles } from '../model/graph.ts';
import { intsAttribute, makeNode, prune, setInt, Wiring } from '../model/graph-edit.ts';
import { ATTENTION } from './feed-lengths.ts';

/** What each layer has one of: attention, or where it is written out, the softmax in it. */
const MIXERS: readonly string[] = [ATTENTION, 'com.microsoft.MultiHeadAttention', 'Softmax'];

/** Operators that normalise rows, with the place of their weights: what stands before is what they normalise. */
const NORMS: ReadonlyMap<string, number> = new Map([
  ['LayerNormalization', 1],
  ['SimplifiedLayerNormalization', 1],
  ['com.microsoft.SkipSimplifiedLayerNormalization', 2],
  ['com.microsoft.SkipLayerNormalization', 2],
]);

/**
 * A decoder of the first layer and what comes after the last, with the same weights, operators and shapes: small enough
 * to be computed on the CPU as well.
 *
 * @param output what to compute
 * @returns undefined for a graph in which this cannot be told: of one layer, or of another kind
 */
export function extractLayer(graph: Graph, output: string): GraphFile | undefined {
  const joined = join(graph, output);
  if (!joined) return undefined;
  const kept = new Set([output, ...joined.mixer.outputs]);
  return close({ ...graph, nodes: joined.nodes, outputs: graph.outputs.filter(({ name }) => kept.has(name)) });
}

/** Patches that are enough for the kernels that a view has; all of SmolVLM's 1,024 are ten times the work for the CPU. */
const MAX_PATCHES = 64;

/**
 * The same of a vision encoder, up to the final norm, which becomes the output. The patches are made of a whole view;
 * the layer is given some of them, from all over it.
 */
export function extractVisionLayer(graph: Graph, output: string, size: number): GraphFile | undefined {
  const joined = join(graph, output);
  const edge = intsAttribute(graph.nodes.find(({ type }) => type === 'Conv') ?? NO_NODE, 'strides')[0];
  if (!joined || !edge) return undefined;
  const patches = Math.floor(size / edge) ** 2;
  const count = Math.min(MAX_PATCHES, patches);
  const places = BigInt64Array.from({ length: count }, (_, at) => BigInt(Math.floor(((at + 0.5) * patches) / count)));
  const first = joined.nodes.findIndex(({ type }) => NORMS.has(type));
  const all = joined.nodes[first]?.inputs[0] ?? '';
  const [picked, which] = [`${all}/picked`, `${all}/places`];
  const nodes = joined.nodes.flatMap((node) => {
    const inputs = node.inputs.map((name) => (name === all ? picked : name));
    if (node === joined.last) return { ...node, inputs, outputs: [output] };
    return node.outputs.includes(output) ? [] : { ...node, inputs };
  });
  const gather = makeNode('Gather', [all, which], [picked]);
  setInt(gather, 'axis', 1);
  nodes.splice(first, 0, gather);
  const tensors = new Map(graph.tensors).set(which, makeTensor(which, INT64, [count], new Uint8Array(places.buffer)));
  return close({ ...graph, nodes, tensors, outputs: [makeValue(output)] });
}

const NO_NODE = makeNode('', [], []);

function close(part: Graph): GraphFile {
  prune(part);
  return { graph: encode(part, true), externalData: weightFiles(part) };
}

/**
 * Gives the final norm what the second layer's first one is given, so that the layers between are not read any more. Both
 * normalise what layers add to: this fits whatever a layer is made of.
 */
function join(graph: Graph, output: string): { nodes: Node[]; mixer: Node; last: Node } | undefined {
  const wiring = new Wiring(graph);
  const [mixer, second] = graph.nodes.filter(({ type }) => MIXERS.includes(type));
  const final = lastNorm(graph, wiring.upstream([output]), () => true);
  if (!mixer || !second || !final) return undefined;
  const between = lastNorm(graph, wiring.upstream(second.inputs), (node) => isAlike(wiring, node, final));
  if (!between || !wiring.upstream(between.inputs).has(mixer)) return undefined;
  const count = NORMS.get(final.type) ?? 0;
  const last: Node = { ...final, inputs: [...between.inputs.slice(0, count), ...final.inputs.slice(count)] };
  return { nodes: graph.nodes.map((node) => (node === final ? last : node)), mixer, last };
}

function lastNorm(graph: Graph, among: ReadonlySet<Node>, suits: (node: Node) => boolean): Node | undefined {
  return graph.nodes.findLast((node) => NORMS.has(node.type) && among.has(node) && suits(node));
}

/** True if two norms are of one kind and width: those of single heads are not. */
function isAlike(wiring: Wiring, one: Node, other: Node): boolean {
  const width = ({ type, inputs }: Node): string | undefined =>
    wiring.tensor(inputs[NORMS.get(type) ?? 0])?.dims.join();
  return one.type === other.type && width(one) === width(other);
}
