import type { ByteSource } from '../../src/bytes/file-bytes.ts';
import { INPUTS_EMBEDS } from './decoder-ports.ts';
import type { GraphFile } from './model/external-data.ts';
import { decode, FLOAT, FLOAT16, type Graph, type Node, UINT8 } from './model/graph.ts';
import { intAttribute, opaque, Wiring } from './model/graph-edit.ts';

/** Embeddings of all tokens: `rows` times `width` numbers. */
export interface EmbeddingTable {
  rows: number;
  width: number;
  /** `q4`: two levels in a byte, the first in its lower bits. */
  type: 'float32' | 'float16' | 'q4';
  /** A view into the file, at any byte offset. */
  data: ByteSource;
  /** How levels become numbers, of a `q4` table. */
  blocks?: EmbeddingBlocks | undefined;
}

/** Blocks of the levels of a row: a number is its level less the block's zero point, times the block's scale. */
export interface EmbeddingBlocks {
  /** Levels in each. */
  size: number;
  /** float32, at any byte offset. */
  scales: ByteSource;
  /** Two in a byte, as levels; each row begins with a byte of its own. Absent: 8 everywhere. */
  zeroPoints: ByteSource | undefined;
}

const GATHER = 'Gather';
const GATHER_QUANTIZED = 'com.microsoft.GatherBlockQuantized';

/**
 * Finds the table in a graph that only gathers its rows: those of 4-bit blocks as float32, those of float16 with a cast. Such
 * a graph need not be opened: the table is enough to embed tokens.
 *
 * @returns undefined for any other graph
 */
export function embeddingTable(model: GraphFile): EmbeddingTable | undefined {
  const graph = decode(model);
  const inputs = graph.inputs.filter(({ name }) => !graph.tensors.has(name));
  if (opaque(graph) !== undefined || inputs.length !== 1) return undefined;
  const wiring = new Wiring(graph);
  const cast = wiring.producer(INPUTS_EMBEDS, 'Cast');
  const gather = wiring.producer(cast ? cast.inputs[0] : INPUTS_EMBEDS, GATHER, GATHER_QUANTIZED);
  if (!gather || gather.inputs[1] !== 'input_ids') return undefined;
  if (gather.type === GATHER_QUANTIZED) return cast ? undefined : quantizedTable(graph, gather);
  if (intAttribute(gather, 'axis', 0) !== 0) return undefined;
  if (cast && intAttribute(cast, 'to', 0) !== FLOAT) return undefined;
  const table = wiring.tensor(gather.inputs[0]);
  const [rows = 0, width = 0, ...more] = table?.dims ?? [];
  if (!table?.data || rows === 0 || width === 0 || more.length > 0) return undefined;
  const type = table.type === FLOAT ? 'float32' : table.type === FLOAT16 ? 'float16' : undefined;
  // No known decoder takes float16 embeddings, so this could not be tested.
  if (!type || (type === 'float16' && !cast)) return undefined;
  if (table.data.byteLength !== rows * width * (type === 'float16' ? 2 : 4)) return undefined;
  return { rows, width, type, data: table.data };
}

/**
 * Where onnxruntime can run a graph of embeddings. Variants for every device may have tables or scales in half precision, for
 * which its kernels on a GPU need `shader-f16`.
 *
 * @returns undefined for the CPU
 */
export function embeddingDevice(device: GPUDevice | undefined, model: GraphFile): GPUDevice | undefined {
  if (!device || device.features.has('shader-f16')) return device;
  return [...decode(model).tensors.values()].some(({ type }) => type === FLOAT16) ? undefined : device;
}

function quantizedTable({ tensors }: Graph, gather: Node): EmbeddingTable | undefined {
  const [levelsName = '', , scalesName = '', zerosName = ''] = gather.inputs;
  const [levels, scales, zeros] = [levelsName, scalesName, zerosName].map((name) => tensors.get(name));
  const [rows = 0, pairs = 0, ...more] = levels?.dims ?? [];
  const width = pairs * 2;
  const size = intAttribute(gather, 'block_size', 128);
  const across = intAttribute(gather, 'gather_axis', 0) === 0 && intAttribute(gather, 'quantize_axis', 1) === 1;
  // Levels of a type of 4 bits have another zero point.
  if (!across || intAttribute(gather, 'bits', 4) !== 4 || levels?.type !== UINT8 || scales?.type !== FLOAT)
    return undefined;
  if (more.length > 0 || rows === 0 || size % 2 !== 0 || width % size !== 0) return undefined;
  const count = width / size;
  if (levels.data?.byteLength !== rows * pairs || scales.data?.byteLength !== rows * count * 4) return undefined;
  if (zerosName !== '' && zeros?.data?.byteLength !== rows * Math.ceil(count / 2)) return undefined;
  const blocks = { size, scales: scales.data, zeroPoints: zeros?.data };
  return { rows, width, type: 'q4', data: levels.data, blocks };
}
