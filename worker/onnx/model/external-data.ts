import { type ByteSource, offsetIn, partOf } from '../../../src/bytes/file-bytes.ts';
import { NearsightError } from '../../../src/protocol/errors.ts';
import { malformed } from './protobuf.ts';

/** A graph and the files that hold weights of it, as `InferenceSession.create(graph, { externalData })` takes them. */
export interface GraphFile {
  graph: ByteSource;
  /** Each under the path by which the graph refers to it, which is relative to the graph's folder. */
  externalData: readonly ExternalData[];
}

export interface ExternalData {
  path: string;
  data: ByteSource;
}

/** Where the elements of a tensor are outside the graph: the values of ONNX's keys. */
export interface Reference {
  location: string;
  offset: number;
  length: number;
}

/**
 * The elements that a tensor refers to, as a view on the file that holds them.
 *
 * @param entries ONNX's keys and values: `location`, and optionally `offset` (0) and `length` (up to the file's end)
 * @throws NearsightError `load_failed` naming the file if it is not among `files`, or if the range is not in it
 */
export function resolveReference(
  tensor: string,
  entries: ReadonlyMap<string, string>,
  files: readonly ExternalData[],
): ByteSource {
  const location = entries.get('location')?.replace(/^\.\//, '');
  if (location === undefined) throw malformed(`no location for the external data of ${tensor}`);
  const data = files.find(({ path }) => path === location)?.data;
  if (!data) {
    const message = `The weights ${tensor} are in the file ${location}, which the model's spec does not list as data of their graph.`;
    throw new NearsightError('load_failed', message);
  }
  const offset = Number(entries.get('offset') ?? 0);
  const length = Number(entries.get('length') ?? data.byteLength - offset);
  const end = offset + length;
  const isValid = [offset, length, end].every((count) => Number.isSafeInteger(count) && count >= 0);
  if (!isValid || end > data.byteLength) {
    const message = `The weights ${tensor} should be at bytes ${offset} to ${end} of ${location}, which has ${data.byteLength} bytes.`;
    throw new NearsightError('load_failed', message);
  }
  return partOf(data, offset, end);
}

/** Refers to `part` if it lies in one of `files`. */
export function referenceTo(part: ByteSource, files: readonly ExternalData[]): Reference | undefined {
  for (const { path, data } of files) {
    const offset = offsetIn(part, data);
    if (offset !== undefined) return { location: path, offset, length: part.byteLength };
  }
  return undefined;
}
