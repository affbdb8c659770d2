import { NearsightError } from '../../src/protocol/errors.ts';
import type { Device, GraphName } from '../../src/protocol/model-spec.ts';
import type { HubEntry } from './hub-tree.ts';

/** A set of graphs, by the paths of their files. */
export interface FoundVariant {
  dtype: string;
  devices: readonly Device[];
  f16: boolean;
  /** The graph, then the files of its external data. */
  graphs: Record<GraphName, readonly string[]>;
}

interface Precision {
  dtype: string;
  suffix: string;
  devices: readonly Device[];
  f16: boolean;
}

const both: readonly Device[] = ['webgpu', 'wasm'];

/** WebGPU has no kernels for these. */
const onWasm = (dtype: string): Precision => ({ dtype, suffix: `_${dtype}`, devices: ['wasm'], f16: false });

/** The hub's precisions, in order of preference: the smallest that is known to run well on a device comes first. */
const PRECISIONS: readonly Precision[] = [
  { dtype: 'q4f16', suffix: '_q4f16', devices: ['webgpu'], f16: true },
  { dtype: 'q4', suffix: '_q4', devices: both, f16: false },
  { dtype: 'fp16', suffix: '_fp16', devices: ['webgpu'], f16: true },
  // transformers.js takes this on wasm.
  onWasm('quantized'),
  onWasm('uint8'),
  { dtype: 'fp32', suffix: '', devices: both, f16: false },
  // onnxruntime has no convolution with signed weights (ConvInteger), which vision encoders have.
  onWasm('int8'),
  onWasm('bnb4'),
];

/**
 * How much larger than the smallest one a table of the variant's own precision may be. In 4 bits, scales in float32 take a
 * ninth more than in half precision, which a GPU without `shader-f16` cannot compute with.
 */
const MOST_MORE = 1.25;

/** A graph may have its data in a chain of files: `.onnx_data`, `.onnx_data_1`, … */
const MOST_DATA_FILES = 64;

/**
 * The sets of graphs that a repository has, in order of preference. Those after the first one that every device runs are
 * left out: they are larger, and nothing can need them.
 *
 * @param dtype only this one
 * @throws NearsightError `load_failed` saying which precisions there are, or what a repository needs
 */
export function findVariants(files: ReadonlyMap<string, HubEntry>, dtype: string | undefined): FoundVariant[] {
  const found = PRECISIONS.flatMap((precision) => variantOf(files, precision) ?? []);
  if (found.length === 0) {
    const needs = 'onnx/vision_encoder*.onnx, onnx/embed_tokens*.onnx and onnx/decoder_model_merged*.onnx';
    throw new NearsightError(
      'load_failed',
      `The repository has no complete set of graphs: ${needs}, as transformers.js has them.`,
    );
  }
  if (dtype !== undefined) {
    const chosen = found.filter((variant) => variant.dtype === dtype);
    if (chosen.length > 0) return chosen;
    const there = found.map((variant) => variant.dtype).join(', ');
    throw new NearsightError('load_failed', `The repository has no graphs of dtype '${dtype}'. It has: ${there}.`);
  }
  const everywhere = found.findIndex(({ devices }) => devices.length === both.length);
  return everywhere < 0 ? found : found.slice(0, everywhere + 1);
}

function variantOf(files: ReadonlyMap<string, HubEntry>, precision: Precision): FoundVariant | undefined {
  const { dtype, suffix, devices, f16 } = precision;
  const vision = graphFiles(files, `vision_encoder${suffix}`);
  const decoder = graphFiles(files, `decoder_model_merged${suffix}`);
  // The table is the same in each: the smallest, in 4 bits or in half precision. No lookup of ours needs `shader-f16`.
  const own = graphFiles(files, `embed_tokens${suffix}`);
  const [smallest] = ['_q4f16', '_fp16', '']
    .map((one) => graphFiles(files, `embed_tokens${one}`))
    .concat([own])
    .filter((paths) => paths !== undefined)
    .sort((one, other) => bytesOf(files, one) - bytesOf(files, other));
  const embed = own && smallest && bytesOf(files, own) <= MOST_MORE * bytesOf(files, smallest) ? own : smallest;
  return vision && embed && decoder && { dtype, devices, f16, graphs: { vision, embed, decoder } };
}

function graphFiles(files: ReadonlyMap<string, HubEntry>, name: string): string[] | undefined {
  const graph = `onnx/${name}.onnx`;
  if (!files.has(graph)) return undefined;
  const data = Array.from({ length: MOST_DATA_FILES }, (_, at) => `${graph}_data${at === 0 ? '' : `_${at}`}`);
  const missing = data.findIndex((path) => !files.has(path));
  return [graph, ...data.slice(0, missing < 0 ? data.length : missing)];
}

function bytesOf(files: ReadonlyMap<string, HubEntry>, paths: readonly string[]): number {
  return paths.reduce((sum, path) => sum + (files.get(path)?.bytes ?? 0), 0);
}
