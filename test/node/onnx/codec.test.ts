import { describe, expect, test } from 'vitest';
import { bytesIn } from '../../../src/bytes/file-bytes.ts';
import { NearsightError } from '../../../src/protocol/errors.ts';
import { encoderInputs } from '../../../worker/families/idefics3/idefics3-inputs.ts';
import type { GraphFile } from '../../../worker/onnx/model/external-data.ts';
import { decode, encode, encodeApart } from '../../../worker/onnx/model/graph.ts';
import { fields, integer, Writer } from '../../../worker/onnx/model/protobuf.ts';
import { optimizeDecoder } from '../../../worker/onnx/optimize/optimize-decoder.ts';
import { optimizeVision } from '../../../worker/onnx/optimize/optimize-vision.ts';
import { encodeCrops, evaluate, glimpse, Native, readAll, singleFile } from './optimize-graphs.ts';
import { split } from './split-graph.ts';
import { toyDecoder } from './toy-graphs.ts';

describe('the protobuf format', () => {
  test.each([0, 1, 127, 128, 300, 2 ** 31, 2 ** 40 + 5, Number.MAX_SAFE_INTEGER, -1, -300])(
    'writes and reads %d',
    (value) => {
      const message = new Writer().integer(5, value).integer(2000, value).finish();
      expect([...fields(message)].map(({ number, payload }) => [number, integer(payload)])).toEqual([
        [5, value],
        [2000, value],
      ]);
    },
  );

  test('skips fields of every wire type and returns them unchanged', () => {
    const message = Uint8Array.of(0x08, 0x96, 0x01, 0x11, 1, 2, 3, 4, 5, 6, 7, 8, 0x1a, 2, 9, 9, 0x25, 1, 2, 3, 4);
    const read = [...fields(message)];
    expect(read.map(({ number, wire }) => [number, wire])).toEqual([
      [1, 0],
      [2, 1],
      [3, 2],
      [4, 5],
    ]);
    const copy = new Writer();
    for (const { raw } of read) copy.raw(raw);
    expect(copy.finish()).toEqual(message);
  });
});

describe('a model that is decoded and encoded', () => {
  const model = glimpse('decoder_model_merged_q4');
  const graph = decode(singleFile(model));

  test('refers to its weights, and never copies them', () => {
    for (const { name, data } of graph.tensors.values())
      expect([name, data && bytesIn(data).buffer === model.buffer]).toEqual([name, true]);
  });

  test.each([false, true])('gives the same logits to the last bit; weights outside: %s', async (outside) => {
    const file = outside ? encodeApart(graph) : singleFile(encode(graph));
    const written = file.graph;
    if (outside) expect(written.byteLength).toBeLessThan(model.length / 10);
    // Fields that are written though they are empty are not written again.
    else expect(model.length - written.byteLength).toBeLessThan(100);
    const before = await Native.open(model);
    const after = await Native.open(file);
    expect(await readAll(after, [6, 1])).toEqual(await readAll(before, [6, 1]));
    await before.close();
    await after.close();
  });

  test('reads the same a second time', () => {
    const again = decode(singleFile(encode(graph)));
    expect(again.nodes).toEqual(graph.nodes);
    expect([...again.tensors.keys()]).toEqual([...graph.tensors.keys()]);
    expect(again.inputs).toEqual(graph.inputs);
    expect(again.opsets).toEqual(graph.opsets);
  });
});

describe('a model whose weights are in other files', () => {
  const paths = ['weights.bin', 'more/weights.bin'];
  const model = glimpse('decoder_model_merged_q4');
  const apart = split(model, paths);

  test('is read as views on those files, and written as references to them', () => {
    const graph = decode(apart);
    const files = apart.externalData.map(({ data }) => bytesIn(data).buffer);
    const large = [...graph.tensors.values()].flatMap(({ data }) =>
      data && data.byteLength >= 1024 ? [bytesIn(data)] : [],
    );
    expect(new Set(large.map(({ buffer }) => files.indexOf(buffer as ArrayBuffer)))).toEqual(new Set([0, 1]));
    expect(encodeApart(graph).graph.byteLength).toBeLessThan(model.length / 10);
    expect(decode(singleFile(encode(graph))).tensors.size).toBe(graph.tensors.size);
  });

  test.each([
    ['decoder', 'as it is', undefined],
    ['decoder', 'optimized', 0],
    ['decoder', 'dequantized', 64 << 20],
  ])('gives the logits of the single file: %s, %s', async (_name, _how, bytes) => {
    const optimize = async (file: GraphFile): Promise<Native> => {
      if (bytes === undefined) return Native.open(file);
      const memoryBudget = bytes === 0 ? undefined : { bytes };
      const { outcomes, ...optimized } = await optimizeDecoder(file, { positions: 64, evaluate, memoryBudget });
      expect(outcomes.some(({ reason }) => reason === undefined)).toBe(true);
      return Native.open(optimized);
    };
    const [whole, external] = [await optimize(singleFile(model)), await optimize(apart)];
    expect(await readAll(external, [6, 1])).toEqual(await readAll(whole, [6, 1]));
    await whole.close();
    await external.close();
  });

  test('gives the features of the single file: vision encoder, optimized', async () => {
    const encoder = glimpse('vision_encoder_q4');
    const options = { inputs: encoderInputs(96, 0), evaluate, attention: true };
    const features: Float32Array[] = [];
    for (const file of [singleFile(encoder), split(encoder, paths)]) {
      const optimized = await optimizeVision(file, options);
      expect(optimized.outcomes.every(({ reason }) => reason === undefined)).toBe(true);
      for (const graph of [optimized, optimized.layer!]) {
        const native = await Native.open(graph);
        features.push((await encodeCrops(native, 1, 96)).data);
        await native.close();
      }
    }
    expect(features.slice(2)).toEqual(features.slice(0, 2));
  });

  const tensor = (entries: Record<string, string>): GraphFile => {
    const message = new Writer().integer(1, 3).integer(2, 1).text(8, 'w').integer(14, 1);
    for (const [key, value] of Object.entries(entries)) message.message(13, new Writer().text(1, key).text(2, value));
    const graph = new Writer().message(7, new Writer().message(5, message)).finish();
    return { graph, externalData: [{ path: 'a.bin', data: Uint8Array.from({ length: 20 }, (_, at) => at) }] };
  };

  test.each([
    [{ location: 'a.bin', offset: '4', length: '12' }, [4, 12]],
    [{ location: './a.bin', offset: '8' }, [8, 12]],
    [{ location: 'a.bin' }, [0, 20]],
  ])('finds a tensor at %j', (entries, [offset, length]) => {
    const data = bytesIn(decode(tensor(entries)).tensors.get('w')!.data!);
    expect([data.byteOffset, data.length]).toEqual([offset, length]);
  });

  test.each([
    [{ location: 'b.bin' }, 'in the file b.bin, which the model'],
    [{ location: '../a.bin' }, 'in the file ../a.bin, which'],
    [{ location: 'a.bin', offset: '12', length: '12' }, 'bytes 12 to 24 of a.bin, which has 20 bytes'],
    [{ location: 'a.bin', offset: '24' }, 'of a.bin, which has 20 bytes'],
    [{ location: 'a.bin', offset: '-4', length: '8' }, 'of a.bin, which has 20 bytes'],
    [{ location: 'a.bin', offset: 'x' }, 'of a.bin, which has 20 bytes'],
    [{}, 'no location'],
  ])('refuses a tensor at %j', (entries, message) => {
    const refused = { code: 'load_failed', message: expect.stringContaining(message) as string };
    expect(() => decode(tensor(entries))).toThrow(expect.objectContaining(refused));
  });
});

/** A linear congruential generator's next number below `limit`. */
function dice(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state % limit;
  };
}

/** A broken file is either read as a graph or refused with `load_failed`. */
function tryDecode(bytes: Uint8Array): 'graph' | 'refused' {
  try {
    decode(singleFile(bytes));
    return 'graph';
  } catch (error) {
    if (error instanceof NearsightError && error.code === 'load_failed') return 'refused';
    throw error;
  }
}

describe('a broken file', () => {
  const model = toyDecoder();

  test('is refused wherever it is cut off inside its graph', () => {
    // The graph comes last, after some fields that are a sound model file's beginning.
    const outcomes = Array.from({ length: Math.ceil(model.length / 7) }, (_, i) => tryDecode(model.subarray(0, i * 7)));
    expect(outcomes).not.toContain('graph');
  });

  test('is read or refused with load_failed, whatever is wrong with it', () => {
    const roll = dice(1);
    const outcomes = Array.from({ length: 2000 }, () => {
      const broken = model.slice();
      for (let i = roll(4); i >= 0; i--) broken[roll(broken.length)] = roll(256);
      return tryDecode(broken);
    });
    expect(outcomes).toContain('graph');
    expect(outcomes).toContain('refused');
  });

  test('is optimized, left alone or refused: it never hangs', async () => {
    const roll = dice(2);
    for (let round = 0; round < 40; round++) {
      const broken = model.slice();
      for (let i = roll(3); i >= 0; i--) broken[roll(broken.length)] = roll(256);
      await optimizeDecoder(singleFile(broken), { positions: 64, evaluate }).catch((error: unknown) => {
        if (!(error instanceof NearsightError && error.code === 'load_failed')) throw error;
      });
    }
  });

  test.each([
    ['a length of 2^62', [0x3a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40]],
    ['an endless integer', Array.from({ length: 32 }, () => 0xff)],
    ['no bytes', []],
    ['text', [...new TextEncoder().encode('version https://git-lfs.github.com/spec/v1')]],
  ])('%s is refused', (_, bytes) => {
    expect(tryDecode(Uint8Array.from(bytes))).toBe('refused');
  });

  test('a cycle leaves the graph alone', async () => {
    const graph = decode(singleFile(model));
    const [first] = graph.nodes;
    if (first) first.inputs[0] = 'logits';
    const cyclic = encode(graph);
    const optimized = await optimizeDecoder(singleFile(cyclic), { positions: 64, evaluate });
    expect(optimized.graph).toBe(cyclic);
    expect(optimized.outcomes[0]?.reason).toMatch(/no earlier node/);
  });
});
