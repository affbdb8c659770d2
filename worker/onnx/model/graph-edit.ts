import { bytesIn, type ByteSource } from '../../../src/bytes/file-bytes.ts';
import { decodeTensor, FLOAT, FLOAT16, type Graph, INT32, INT64, type Node, type Tensor, makeValue } from './graph.ts';
import { halfToNumber } from '../tensor.ts';
import { fields, integerOf, integers, payloadOf, Writer } from './protobuf.ts';

/** Which nodes compute and read each value of a graph. A snapshot: it does not follow later changes. */
export class Wiring {
  readonly #producers = new Map<string, Node>();
  readonly #consumers = new Map<string, Node[]>();
  readonly #graph: Graph;

  constructor(graph: Graph) {
    this.#graph = graph;
    for (const node of graph.nodes) {
      for (const name of node.outputs) this.#producers.set(name, node);
      for (const name of new Set(node.inputs)) {
        const readers = this.#consumers.get(name);
        if (readers) readers.push(node);
        else this.#consumers.set(name, [node]);
      }
    }
    // What is left out has no name.
    this.#producers.delete('');
    this.#consumers.delete('');
  }

  /** The node that computes a value, if its operator is one of `types` (without `types`: any operator). */
  producer(name: string | undefined, ...types: readonly string[]): Node | undefined {
    const node = this.#producers.get(name ?? '');
    return node && (types.length === 0 || types.includes(node.type)) ? node : undefined;
  }

  consumers(name: string | undefined): readonly Node[] {
    return this.#consumers.get(name ?? '') ?? [];
  }

  /** All nodes that the values are computed from, except those of type `stop` and what only those need. */
  upstream(names: Iterable<string>, stop?: string): Set<Node> {
    const found = new Set<Node>();
    const pending = [...names];
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      const node = this.#producers.get(name);
      if (!node || node.type === stop || found.has(node)) continue;
      found.add(node);
      pending.push(...node.inputs);
    }
    return found;
  }

  /** All nodes that read the value, directly or through other nodes. */
  downstream(name: string): Set<Node> {
    const found = new Set<Node>();
    const pending = [name];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      for (const node of this.consumers(next)) {
        if (found.has(node)) continue;
        found.add(node);
        pending.push(...node.outputs);
      }
    }
    return found;
  }

  /** The tensor behind a name: an initializer, or the value of a Constant node. */
  tensor(name: string | undefined): Tensor | undefined {
    const initializer = this.#graph.tensors.get(name ?? '');
    if (initializer) return initializer;
    const node = this.producer(name, 'Identity', 'Constant');
    if (node?.type === 'Identity') return this.tensor(node.inputs[0]);
    const value = payloadOf(node?.attributes.get('value'), 5);
    return value && decodeTensor(value);
  }

  /** The elements of a small constant. */
  constants(name: string | undefined): number[] | undefined {
    const tensor = this.tensor(name);
    return tensor && elements(tensor);
  }

  /** The only element of a constant. */
  scalar(name: string | undefined): number | undefined {
    const values = this.constants(name);
    return values?.length === 1 ? values[0] : undefined;
  }
}

/** Larger constants are weights, whose elements are not read one by one. */
const MAX_CONSTANT_ELEMENTS = 64;

function elements(tensor: Tensor): number[] | undefined {
  const count = tensor.dims.reduce((product, dim) => product * dim, 1);
  if (count > MAX_CONSTANT_ELEMENTS) return undefined;
  const values = tensor.data ? fromBytes(tensor.type, tensor.data) : fromFields(tensor);
  return values?.length === count ? values : undefined;
}

function fromBytes(type: number, source: ByteSource): number[] | undefined {
  const data = bytesIn(source);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const read = (size: number, at: (offset: number) => number): number[] =>
    Array.from({ length: Math.floor(data.length / size) }, (_, i) => at(i * size));
  if (type === FLOAT) return read(4, (offset) => view.getFloat32(offset, true));
  if (type === FLOAT16) return read(2, (offset) => halfToNumber(view.getUint16(offset, true)));
  if (type === INT32) return read(4, (offset) => view.getInt32(offset, true));
  if (type === INT64) return read(8, (offset) => Number(view.getBigInt64(offset, true)));
  return undefined;
}

/** Small tensors may hold their elements in a field for their type instead of bytes. */
function fromFields({ type, raw }: Tensor): number[] | undefined {
  const values: number[] = [];
  for (const field of fields(raw)) {
    if (field.number === 4 && type === FLOAT) values.push(...(fromBytes(FLOAT, field.payload) ?? []));
    if (field.number === 5 && type === INT32) values.push(...integers(field));
    if (field.number === 7 && type === INT64) values.push(...integers(field));
  }
  return values;
}

const ATTRIBUTE_FLOAT = 1;
const ATTRIBUTE_INT = 2;
const ATTRIBUTE_GRAPH = 5;
const ATTRIBUTE_INTS = 7;

/** A node's integer attribute, or `absent`, the operator's default. */
export function intAttribute(node: Node, name: string, absent: number): number {
  return integerOf(node.attributes.get(name), 3, absent);
}

export function intsAttribute(node: Node, name: string): number[] {
  return [...fields(node.attributes.get(name))].flatMap((field) => (field.number === 8 ? integers(field) : []));
}

/** A node's number, or `absent`, the operator's default. */
export function floatAttribute(node: Node, name: string, absent: number): number {
  const payload = payloadOf(node.attributes.get(name), 2);
  return payload ? new DataView(payload.buffer, payload.byteOffset).getFloat32(0, true) : absent;
}

export function setInt(node: Node, name: string, value: number): void {
  node.attributes.set(name, new Writer().text(1, name).integer(3, value).integer(20, ATTRIBUTE_INT).finish());
}

export function setFloat(node: Node, name: string, value: number): void {
  node.attributes.set(name, new Writer().text(1, name).float(2, value).integer(20, ATTRIBUTE_FLOAT).finish());
}

export function setInts(node: Node, name: string, values: readonly number[]): void {
  const message = new Writer().text(1, name);
  for (const value of values) message.integer(8, value);
  node.attributes.set(name, message.integer(20, ATTRIBUTE_INTS).finish());
}

/** @param graph as `encodeBranch` writes it */
export function setGraph(node: Node, name: string, graph: Uint8Array): void {
  node.attributes.set(name, new Writer().text(1, name).bytes(6, graph).integer(20, ATTRIBUTE_GRAPH).finish());
}

/** A node with these integer attributes. */
export function makeNode(type: string, inputs: string[], outputs: string[], ints: Record<string, number> = {}): Node {
  const node: Node = { type, name: outputs[0] ?? type, inputs, outputs, attributes: new Map(), rest: [] };
  for (const [name, value] of Object.entries(ints)) setInt(node, name, value);
  return node;
}

/**
 * Sorts a graph's nodes, unless the graph cannot be analysed by following its values from node to node. (Converters to half
 * precision append nodes at the end, which onnxruntime accepts.)
 *
 * @returns the reason, or undefined if it can be analysed
 */
export function opaque(graph: Graph): string | undefined {
  if (graph.nodes.some(hasGraph)) return 'the graph has branches or loops';
  graph.nodes = inOrder(graph);
  // In this order, as ONNX requires it, there are no cycles.
  const known = new Set(['', ...graph.tensors.keys(), ...graph.inputs.map(({ name }) => name)]);
  for (const { name, inputs, outputs } of graph.nodes) {
    if (!inputs.every((input) => known.has(input))) return `node ${name} reads what no earlier node gives`;
    for (const output of outputs) {
      if (output !== '' && known.has(output)) return `two nodes give ${output}`;
      known.add(output);
    }
  }
  return undefined;
}

/** Each node comes after those that it reads from, otherwise in the present order. Nodes of a cycle come in any order. */
function inOrder({ nodes }: Graph): Node[] {
  const producers = new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  producers.delete('');
  const ordered = new Set<Node>();
  const begun = new Set<Node>();
  for (const node of nodes) {
    const pending = [node];
    for (let next = pending.at(-1); next; next = pending.at(-1)) {
      const sources = begun.has(next) ? [] : next.inputs.flatMap((name) => producers.get(name) ?? []);
      const missing = sources.filter((other) => !ordered.has(other));
      begun.add(next);
      if (missing.length > 0) pending.push(...missing.toReversed());
      else ordered.add(pending.pop() ?? next);
    }
  }
  return [...ordered];
}

/** True if a node has a graph of its own (If, Loop, Scan), which reads values that are not among the node's inputs. */
function hasGraph({ attributes }: Node): boolean {
  const messages = [...attributes.values()].flatMap((attribute) => [...fields(attribute)]);
  return messages.some(({ number }) => number === 6 || number === 11);
}

/** Removes nodes whose values are not read, then weights and inputs that no node reads, and shapes that may be stale. */
export function prune(graph: Graph): void {
  const outputs = graph.outputs.map(({ name }) => name);
  const alive = new Wiring(graph).upstream(outputs);
  graph.nodes = graph.nodes.filter((node) => alive.has(node));
  const used = new Set([...outputs, ...graph.nodes.flatMap(({ inputs }) => inputs)]);
  graph.tensors = new Map([...graph.tensors].filter(([name]) => used.has(name)));
  graph.inputs = graph.inputs.filter(({ name }) => used.has(name));
  graph.shapes = [];
}

/** A model that computes only these values, from the inputs that they need. */
export function extract(graph: Graph, names: readonly string[]): Graph {
  const part: Graph = { ...graph, nodes: [...graph.nodes], outputs: names.map((name) => makeValue(name)) };
  prune(part);
  return part;
}

/** Size of a graph's constants and weights. */
export function weightBytes(graph: Graph): number {
  return [...graph.tensors.values()].reduce((bytes, { data }) => bytes + (data?.byteLength ?? 0), 0);
}
