import { describe, expect, test } from 'vitest';
import { NearsightError } from '../../../src/protocol/errors.ts';
import { decode, encode, weightFiles } from '../../../worker/onnx/model/graph.ts';
import { fields, integer, Writer } from '../../../worker/onnx/model/protobuf.ts';
import { optimizeDecoder } from '../../../worker/onnx/optimize/optimize-decoder.ts';
import { evaluate, glimpse, Native, readAll } from './optimize-graphs.ts';
import { toyDecoder } from './toy-graphs.ts';

describe('the wire format', () => {
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

  test('skips fields of every wire type and gives them back as they were', () => {
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

describe('a model that is opened and closed', () => {
  const model = glimpse('decoder_model_merged_q4');
  const graph = decode(model);

  test('refers to its weights, and never copies them', () => {
    for (const { name, data } of graph.tensors.values())
      expect([name, data?.buffer === model.buffer]).toEqual([name, true]);
  });

  test.each([false, true])('gives the same logits to the last bit; weights outside: %s', async (outside) => {
    const written = encode(graph, outside);
    if (outside) expect(written.length).toBeLessThan(model.length / 10);
    // Fields that are written though they are empty are not written again.
    else expect(model.length - written.length).toBeLessThan(100);
    const externalData = outside ? weightFiles(graph) : [];
    const before = await Native.open(model);
    const after = await Native.open({ graph: written, externalData });
    expect(await readAll(after, [6, 1])).toEqual(await readAll(before, [6, 1]));
    await before.close();
    await after.close();
  });

  test('reads the same a second time', () => {
    const again = decode(encode(graph));
    expect(again.nodes).toEqual(graph.nodes);
    expect([...again.tensors.keys()]).toEqual([...graph.tensors.keys()]);
    expect(again.inputs).toEqual(graph.inputs);
    expect(again.opsets).toEqual(graph.opsets);
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

/** What a broken file may come to: a graph, or the one error that loading gives. */
function tryDecode(bytes: Uint8Array): 'graph' | 'refused' {
  try {
    decode(bytes);
    return 'graph';
  } catch (error) {
    if (error instanceof NearsightError && error.code === 'load_failed') return 'refused';
    throw error;
  }
}

describe('a file that is broken', () => {
  const model = toyDecoder();

  test('is refused wherever it is cut off inside its graph', () => {
    // The graph comes last, after some fields that are a sound model file's beginning.
    const outcomes = Array.from({ length: Math.ceil(model.length / 7) }, (_, i) => tryDecode(model.subarray(0, i * 7)));
    expect(outcomes).not.toContain('graph');
  });

  test('is refused or read, never anything else, whatever is wrong with it', () => {
    const roll = dice(1);
    const outcomes = Array.from({ length: 2000 }, () => {
      const broken = model.slice();
      for (let i = roll(4); i >= 0; i--) broken[roll(broken.length)] = roll(256);
      return tryDecode(broken);
    });
    expect(outcomes).toContain('graph');
    expect(outcomes).toContain('refused');
  });

  test('is operated on, left alone or refused: it never hangs', async () => {
    const roll = dice(2);
    for (let round = 0; round < 40; round++) {
      const broken = model.slice();
      for (let i = roll(3); i >= 0; i--) broken[roll(broken.length)] = roll(256);
      await optimizeDecoder(broken, { positions: 64, evaluate }).catch((error: unknown) => {
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
    const graph = decode(model);
    const [first] = graph.nodes;
    if (first) first.inputs[0] = 'logits';
    const cyclic = encode(graph);
    const operated = await optimizeDecoder(cyclic, { positions: 64, evaluate });
    expect(operated.graph).toBe(cyclic);
    expect(operated.outcomes[0]?.reason).toMatch(/no earlier node/);
  });
});
