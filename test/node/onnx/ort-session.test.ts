import { expect, test } from 'vitest';
import { FileBytes } from '../../../src/bytes/file-bytes.ts';
import { LazyBytes } from '../../../src/bytes/lazy-bytes.ts';
import type { ExternalData } from '../../../worker/onnx/model/external-data.ts';
import { decode } from '../../../worker/onnx/model/graph.ts';
import type { Ort } from '../../../worker/onnx/ort.ts';
import { Session } from '../../../worker/onnx/ort-session.ts';
import { fileOnDisk } from './file-on-disk.ts';
import { glimpse, singleFile } from './optimize-graphs.ts';

interface Created {
  graph: Uint8Array;
  externalData: ExternalData[];
}

/** An onnxruntime that reads weights as the real one does: what a read throws is replaced by a message of its own. */
function fakeOrt(created: Created[]): Ort {
  const create = async (graph: Uint8Array, { externalData }: { externalData: ExternalData[] }) => {
    created.push({ graph, externalData });
    try {
      for (const { data } of externalData) data.subarray(0, 1 << 16);
    } catch {
      throw new Error("Can't create a session. ERROR_CODE: 1");
    }
    return { inputMetadata: [], outputMetadata: [] };
  };
  return { InferenceSession: { create }, env: { wasm: {} } } as unknown as Ort;
}

test('a graph in a file that was not optimized is opened without its weights, which are read from the file', async () => {
  const bytes = glimpse('decoder_model_merged_q4');
  const disk = fileOnDisk(bytes);
  const created: Created[] = [];
  await Session.open(fakeOrt(created), { graph: disk.file, externalData: [] });
  const [{ graph, externalData }] = created as [Created];
  expect(graph).not.toBeInstanceOf(FileBytes);
  expect(graph.length).toBeLessThan(bytes.length / 10);
  // onnxruntime takes nothing else as a file.
  expect(externalData[0]!.data).toBeInstanceOf(Uint8Array);
  expect(externalData.map(({ data }) => data.byteLength)).toEqual([bytes.length]);
  const [expected, actual] = [decode(singleFile(bytes)), decode({ graph, externalData })];
  expect([...actual.tensors.keys()]).toEqual([...expected.tensors.keys()]);
});

test('computed weights are freed once onnxruntime has copied them', async () => {
  const copies: Uint8Array[] = [];
  const create = async (_: Uint8Array, { externalData }: { externalData: ExternalData[] }) => {
    for (const { data } of externalData) {
      copies.push(data.subarray(0, 8192));
      expect(copies.map(({ byteLength }) => byteLength)).toEqual([...copies.slice(1).map(() => 0), 8192]);
    }
    return { inputMetadata: [], outputMetadata: [] };
  };
  const ort = { InferenceSession: { create }, env: { wasm: {} } } as unknown as Ort;
  const externalData = ['a', 'b', 'c'].map((path) => ({
    path,
    data: new LazyBytes(9000, (from, to) => new Uint8Array(to - from)),
  }));
  await Session.open(ort, { graph: new Uint8Array(1), externalData });
  expect(copies.map(({ byteLength }) => byteLength)).toEqual([0, 0, 0]);
});

test('a graph in memory is opened as it is', async () => {
  const bytes = glimpse('embed_tokens_q4');
  const created: Created[] = [];
  await Session.open(fakeOrt(created), singleFile(bytes));
  expect(created[0]!.graph.buffer).toBe(bytes.buffer);
  expect(created[0]!.externalData).toEqual([]);
});

test('a file that is deleted while onnxruntime reads it is load_failed, with the reason', async () => {
  const disk = fileOnDisk(glimpse('decoder_model_merged_q4'));
  const ort = fakeOrt([]);
  const create = ort.InferenceSession.create.bind(ort.InferenceSession) as (...args: unknown[]) => Promise<never>;
  ort.InferenceSession.create = (...args: unknown[]) => {
    disk.remove();
    return create(...args);
  };
  const opening = Session.open(ort, { graph: disk.file, externalData: [] });
  await expect(opening).rejects.toMatchObject({
    code: 'load_failed',
    message: expect.stringContaining('NotFoundError'),
  });
});
