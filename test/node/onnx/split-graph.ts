import { bytesIn } from '../../../src/bytes/file-bytes.ts';
import type { GraphFile } from '../../../worker/onnx/model/external-data.ts';
import { decode, encodeApart } from '../../../worker/onnx/model/graph.ts';
import { singleFile } from './optimize-graphs.ts';

/** Smaller tensors stay in the graph, as exporters do it. */
const MIN_BYTES = 1024;

/** Moves a model's large weights into files of their own, in turn. */
export function split(model: Uint8Array, paths: readonly string[]): GraphFile {
  const graph = decode(singleFile(model));
  const large = [...graph.tensors.values()].filter(({ data }) => (data?.byteLength ?? 0) >= MIN_BYTES);
  const externalData = paths.map((path, index) => {
    const parts = large.filter((_, at) => at % paths.length === index).map(({ data }) => bytesIn(data!));
    // Whatever lies between tensors is not theirs.
    return { path, data: new Uint8Array(Buffer.concat(parts.flatMap((part) => [new Uint8Array(64), part]))) };
  });
  const offsets = paths.map(() => 0);
  for (const [at, { name, type, dims, data }] of large.entries()) {
    const index = at % paths.length;
    const offset = offsets[index]! + 64;
    offsets[index] = offset + data!.byteLength;
    const view = externalData[index]!.data.subarray(offset, offset + data!.byteLength);
    graph.tensors.set(name, { name, type, dims, data: view });
  }
  // The weights that stay are inside `model`, which is not among the files, so they are written into the graph.
  return { graph: encodeApart({ ...graph, source: { graph: new Uint8Array(), externalData } }).graph, externalData };
}
