import { expect, test } from 'vitest';
import { decode, encodeApart } from '../../../worker/onnx/model/graph.ts';
import { splitProducts } from '../../../worker/onnx/optimize/split-products.ts';
import { fileOnDisk } from './file-on-disk.ts';
import { census, distance, glimpse, Native, readAll, singleFile } from './optimize-graphs.ts';

test.each(['decoder_model_merged_q4', 'decoder_model_merged_q4f16'])(
  'large products in parts give the same logits: %s',
  async (name) => {
    const bytes = glimpse(name);
    const graph = decode({ graph: fileOnDisk(bytes).file, externalData: [] });
    const before = census(graph.nodes);
    splitProducts(graph, 20_000);
    const after = census(graph.nodes);
    const products = 'com.microsoft.MatMulNBits';
    expect(after[products]).toBeGreaterThan((before[products] ?? 0) + 20);
    const [whole, parts] = [await Native.open(bytes), await Native.open(encodeApart(graph))];
    const [expected, actual] = [await readAll(whole, [6, 1]), await readAll(parts, [6, 1])];
    for (const [step, logits] of expected.entries()) expect(distance(logits, actual[step]!)).toBeLessThan(1e-3);
    await whole.close();
    await parts.close();
  },
);

test('small products stay as they are', () => {
  const graph = decode(singleFile(glimpse('decoder_model_merged_q4')));
  const before = census(graph.nodes);
  splitProducts(graph, 1 << 30);
  expect(census(graph.nodes)).toEqual(before);
});
