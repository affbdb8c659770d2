import { bytesIn, type ByteSource } from '../../../src/bytes/file-bytes.ts';
import { type ExternalData, type GraphFile, type Reference, referenceTo, resolveReference } from './external-data.ts';
import { fields, integer, integerOf, integers, malformed, payloadOf, text, textOf, Writer } from './protobuf.ts';

/**
 * An ONNX model: its graph, decoded so that nodes can be edited, and the other fields of the file unchanged.
 *
 * Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 */
export interface Graph {
  nodes: Node[];
  /** Initializers: weights and constants, by name. */
  tensors: Map<string, Tensor>;
  inputs: Value[];
  outputs: Value[];
  /** Operator sets in use: version by domain, '' for ONNX's own. */
  readonly opsets: Map<string, number>;
  /** Shapes of intermediate values as the exporter wrote them. Clear them when you change a node: ORT infers its own. */
  shapes: ByteSource[];
  /** Other fields of the graph, and of the model around it. */
  readonly rest: readonly ByteSource[];
  readonly modelRest: readonly ByteSource[];
  /** What it was read from; tensors are views on it, read or not. */
  readonly source: GraphFile;
}

export interface Node {
  /** The operator, with its domain as a prefix unless that is ONNX's own: `MatMul`, `com.microsoft.MatMulNBits`. */
  type: string;
  name: string;
  /** Names of values; '' for an optional one that is left out. */
  inputs: string[];
  outputs: string[];
  /** AttributeProto messages by name. */
  attributes: Map<string, Uint8Array>;
  readonly rest: readonly Uint8Array[];
}

/** The values of TensorProto.DataType that are used here. */
export const FLOAT = 1;
export const UINT8 = 2;
export const INT32 = 6;
export const INT64 = 7;
export const BOOL = 9;
export const FLOAT16 = 10;

/** The same by onnxruntime's names. */
export const TYPES: Readonly<Record<string, number>> = {
  float32: FLOAT,
  float16: FLOAT16,
  int32: INT32,
  int64: INT64,
  bool: BOOL,
};

export interface Tensor {
  readonly name: string;
  readonly type: number;
  readonly dims: readonly number[];
  /** Its elements, little-endian, if they are stored as bytes (exporters do so for all but the smallest). */
  readonly data: ByteSource | undefined;
  /** The whole TensorProto, if the graph's own file holds it. */
  readonly raw?: ByteSource;
  /** In place of `data`: a file of its own, whose bytes are computed whenever they are read, and not kept. */
  readonly lazy?: ExternalData;
}

/** A graph's input or output. */
export interface Value {
  readonly name: string;
  /** Element type; 0 if it is not declared or not a tensor. */
  readonly type: number;
  /** A number, the name of a free dimension, or '' for an anonymous one. */
  readonly dims: readonly (number | string)[];
  /** The whole ValueInfoProto. */
  readonly raw: Uint8Array;
}

/**
 * Reads a model. Of a model in a file, everything but large weights is read.
 *
 * @throws NearsightError `load_failed` if it is not an ONNX model, or refers to data that is not in its files
 */
export function decode(source: GraphFile): Graph {
  const opsets = new Map<string, number>();
  const modelRest: ByteSource[] = [];
  let body: ByteSource | undefined;
  for (const field of fields(source.graph)) {
    if (field.number === 7 && body) throw malformed('two graphs');
    if (field.number === 7) body = field.payload;
    else if (field.number === 8) addOpset(opsets, bytesIn(field.payload));
    else modelRest.push(field.raw);
  }
  if (!body) throw malformed('no graph');
  const rest: ByteSource[] = [];
  const empty = { nodes: [], tensors: new Map<string, Tensor>(), inputs: [], outputs: [], shapes: [] };
  const graph: Graph = { ...empty, opsets, rest, modelRest, source };
  for (const { number, payload, raw } of fields(body)) {
    if (number === 1) graph.nodes.push(decodeNode(bytesIn(payload)));
    else if (number === 5) {
      const tensor = decodeTensor(payload, source.externalData);
      graph.tensors.set(tensor.name, tensor);
    } else if (number === 11) graph.inputs.push(decodeValue(bytesIn(payload)));
    else if (number === 12) graph.outputs.push(decodeValue(bytesIn(payload)));
    else if (number === 13) graph.shapes.push(raw);
    else rest.push(raw);
  }
  return graph;
}

function addOpset(opsets: Map<string, number>, message: Uint8Array): void {
  const domain = textOf(message, 1);
  opsets.set(domain === 'ai.onnx' ? '' : domain, integerOf(message, 2));
}

function decodeNode(message: Uint8Array): Node {
  const rest: Uint8Array[] = [];
  const node: Node = { type: '', name: '', inputs: [], outputs: [], attributes: new Map(), rest };
  let domain = '';
  for (const { number, payload, raw } of fields(message)) {
    if (number === 1) node.inputs.push(text(payload));
    else if (number === 2) node.outputs.push(text(payload));
    else if (number === 3) node.name = text(payload);
    else if (number === 4) node.type = text(payload);
    else if (number === 5) node.attributes.set(textOf(payload, 1), payload);
    else if (number === 7) domain = text(payload);
    else rest.push(raw);
  }
  if (domain !== '' && domain !== 'ai.onnx') node.type = `${domain}.${node.type}`;
  return node;
}

/** Reads a TensorProto. Data in another file is looked up in `files`, if they are given. */
export function decodeTensor(raw: ByteSource, files?: readonly ExternalData[]): Tensor {
  const dims: number[] = [];
  let name = '';
  let type = 0;
  let data: ByteSource | undefined;
  let external = false;
  const entries = new Map<string, string>();
  for (const field of fields(raw)) {
    if (field.number === 1) dims.push(...integers(field));
    else if (field.number === 2) type = integer(bytesIn(field.payload));
    else if (field.number === 8) name = text(bytesIn(field.payload));
    else if (field.number === 9) data = field.payload;
    else if (field.number === 13) addEntry(entries, bytesIn(field.payload));
    else if (field.number === 14) external = integer(bytesIn(field.payload)) === EXTERNAL;
  }
  if (external && files) return { name, type, dims, data: resolveReference(name, entries, files) };
  return { name, type, dims, data, raw };
}

function addEntry(entries: Map<string, string>, message: Uint8Array): void {
  entries.set(textOf(message, 1), textOf(message, 2));
}

function decodeValue(raw: Uint8Array): Value {
  const tensor = payloadOf(payloadOf(raw, 2), 1);
  const dims = [...fields(payloadOf(tensor, 2))].map(({ payload }) => decodeDim(payload));
  return { name: textOf(raw, 1), type: integerOf(tensor, 1), dims, raw };
}

function decodeDim(message: Uint8Array): number | string {
  for (const { number, payload } of fields(message)) {
    if (number === 1) return integer(payload);
    if (number === 2) return text(payload);
  }
  return '';
}

/** Declares a graph's input, or an output if `type` is left out for ORT to infer. */
export function makeValue(name: string, type = 0, dims: readonly (number | string)[] = []): Value {
  const message = new Writer().text(1, name);
  if (type !== 0) {
    const shape = new Writer();
    for (const dim of dims) {
      shape.message(1, typeof dim === 'number' ? new Writer().integer(1, dim) : new Writer().text(2, dim));
    }
    message.message(2, new Writer().message(1, new Writer().integer(1, type).message(2, shape)));
  }
  return { name, type, dims, raw: message.finish() };
}

/** A new initializer. */
export function makeTensor(name: string, type: number, dims: readonly number[], data: ByteSource): Tensor {
  return { name, type, dims, data };
}

/** A new initializer of integers. */
export function makeInts(name: string, dims: readonly number[], values: readonly number[]): Tensor {
  return makeTensor(name, INT64, dims, new Uint8Array(BigInt64Array.from(values, BigInt).buffer));
}

/** TensorProto.DataLocation: the elements are in another file. */
const EXTERNAL = 1;

/** The path under which a graph written by {@link encodeApart} refers to the graph it was read from. */
const WEIGHTS = 'nearsight.weights';

/** Smaller tensors stay in the graph: ORT reads their values while it optimizes the graph. */
const OUTSIDE_BYTES = 1024;

/** Writes a model whose large tensors stay where they are: the graph refers to them as ONNX external data. */
export function encodeApart(graph: Graph): GraphFile {
  const { source, tensors } = graph;
  const lazy = [...tensors.values()].flatMap((tensor) => tensor.lazy ?? []);
  const externalData = [{ path: WEIGHTS, data: source.graph }, ...source.externalData, ...lazy];
  return { graph: encode(graph, externalData), externalData };
}

/**
 * Writes a model, with references to those large tensors that are in one of `files`, and to lazy ones, whose files the caller
 * must hand on too: {@link encodeApart} does.
 */
export function encode(graph: Graph, files: readonly ExternalData[] = []): Uint8Array<ArrayBuffer> {
  const body = new Writer();
  for (const node of graph.nodes) body.message(1, encodeNode(node));
  for (const tensor of graph.tensors.values()) {
    const reference = referenceOf(tensor, files);
    if (tensor.raw && !reference) body.bytes(5, tensor.raw);
    else body.message(5, encodeTensor(tensor, reference));
  }
  for (const { raw } of graph.inputs) body.bytes(11, raw);
  for (const { raw } of graph.outputs) body.bytes(12, raw);
  for (const raw of [...graph.shapes, ...graph.rest]) body.raw(raw);
  const model = new Writer();
  for (const raw of graph.modelRest) model.raw(raw);
  for (const [domain, version] of graph.opsets) model.message(8, new Writer().text(1, domain).integer(2, version));
  return model.message(7, body).finish();
}

/** Writes a graph that a node has: it reads the values of the graph around it by their names. */
export function encodeBranch(name: string, nodes: readonly Node[], outputs: readonly string[]): Uint8Array {
  const message = new Writer();
  for (const node of nodes) message.message(1, encodeNode(node));
  message.text(2, name);
  for (const output of outputs) message.bytes(12, makeValue(output).raw);
  return message.finish();
}

function encodeNode(node: Node): Writer {
  const message = new Writer();
  for (const name of node.inputs) message.text(1, name);
  for (const name of node.outputs) message.text(2, name);
  const dot = node.type.lastIndexOf('.');
  message.text(3, node.name).text(4, node.type.slice(dot + 1));
  for (const attribute of node.attributes.values()) message.bytes(5, attribute);
  if (dot >= 0) message.text(7, node.type.slice(0, dot));
  for (const raw of node.rest) message.raw(raw);
  return message;
}

function referenceOf({ data, lazy }: Tensor, files: readonly ExternalData[]): Reference | undefined {
  if (lazy) return { location: lazy.path, offset: 0, length: lazy.data.byteLength };
  return data && data.byteLength >= OUTSIDE_BYTES ? referenceTo(data, files) : undefined;
}

function encodeTensor({ name, type, dims, data }: Tensor, reference: Reference | undefined): Writer {
  const message = new Writer();
  for (const dim of dims) message.integer(1, dim);
  message.integer(2, type).text(8, name);
  if (!reference) return message.bytes(9, data ?? new Uint8Array());
  for (const [key, value] of Object.entries(reference)) {
    message.message(13, new Writer().text(1, key).text(2, String(value)));
  }
  return message.integer(14, EXTERNAL);
}
