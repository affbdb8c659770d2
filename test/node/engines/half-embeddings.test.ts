import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { glimpse } from '../../../models/glimpse.ts';
import { GREEDY, type Part } from '../../../src/protocol/job.ts';
import type { Device, ModelVariant } from '../../../src/protocol/model-spec.ts';
import { onnxEngine } from '../../../worker/engines/onnx/onnx-engine.ts';
import { transformersEngine } from '../../../worker/engines/transformers/transformers-engine.ts';
import { loadOrt } from '../../../worker/onnx/ort.ts';
import { liveTensors } from '../../../worker/onnx/tensor.ts';
import { decode, encode } from '../../../worker/onnx/model/graph.ts';
import { makeNode } from '../../../worker/onnx/model/graph-edit.ts';
import { quantizeEmbeddings } from '../../fixtures/quantize-embeddings.ts';
import { openToy, PROMPT, take } from '../generation/toy-decoder.ts';
import { singleFile } from '../onnx/optimize-graphs.ts';
import { toyDecoder, toyEmbed } from '../onnx/toy-graphs.ts';
import { chatJob } from './chat-job.ts';
import { assets, openGpu, useDawn } from './dawn-engine.ts';
import { bytesOf, filesWith } from './disk-store.ts';
import { nativeDecoder } from './native.ts';
import { useFacade } from './use-facade.ts';

// GPUs without `shader-f16`, on which onnxruntime cannot run a graph of embeddings that computes in half precision.

/** A table in half precision that is scaled, as Gemma's: more than a table. */
function scaledHalves(table: Uint8Array): Uint8Array<ArrayBuffer> {
  const graph = decode(singleFile(table));
  const cast = graph.nodes.at(-1)!;
  cast.name = 'cast';
  cast.outputs = ['floats'];
  graph.nodes.push(makeNode('Add', ['floats', 'floats'], ['inputs_embeds']));
  return encode(graph);
}

const { signal } = new AbortController();

useFacade();

beforeAll(() => {
  useDawn();
  const { gpu } = navigator;
  const request = gpu.requestAdapter.bind(gpu);
  vi.spyOn(gpu, 'requestAdapter').mockImplementation(async (options) => {
    const adapter = await request(options);
    return (
      adapter &&
      Object.create(adapter, {
        features: { value: new Set() },
        limits: { value: adapter.limits },
        info: { value: adapter.info },
        requestDevice: { value: adapter.requestDevice.bind(adapter) },
      })
    );
  });
});

afterAll(() => {
  vi.restoreAllMocks();
});

test.each(['stepwise', 'transformers'] as const)(
  'decoders on the GPU read embeddings of the CPU: %s',
  { timeout: 120_000 },
  async (kind) => {
    const gpu = await openGpu();
    expect(gpu.device.features.has('shader-f16')).toBe(false);
    const ort = await loadOrt('webgpu', assets.ort);
    const decoder = toyDecoder({ rotary: 'input', allRows: true, positions: 1024 });
    const embed = scaledHalves(toyEmbed('float16'));
    const expected = (await (await nativeDecoder(embed, decoder)).answer(PROMPT, 8)).map(({ id }) => id);
    const toy = await openToy(ort, gpu, { decoder, embed }, kind);
    await toy.decoder.reset(PROMPT.length + 8);
    await toy.decoder.prefill(PROMPT, -1, [], signal);
    expect(await take(toy.decoder, {}, 8)).toEqual(expected);
    await toy.close();
    expect(liveTensors()).toBe(0);
    gpu.close();
  },
);

// With a cold cache, lavapipe compiles glimpse's shaders for minutes.
describe.each([onnxEngine, transformersEngine])(
  'on such a GPU, models of the engine $name',
  { tags: ['long'], timeout: 900_000 },
  (kind) => {
    /** Tries glimpse with other embeddings, on its one variant. */
    async function answer(device: Device, embeddings: Uint8Array<ArrayBuffer>): Promise<string> {
      const [{ graphs, ...variant }] = glimpse.variants.filter(({ dtype }) => dtype === 'q4') as [ModelVariant];
      const file = { ...graphs.embed.file, path: 'onnx/other.onnx', bytes: embeddings.length };
      const variants = [{ ...variant, graphs: { ...graphs, embed: { file, data: [] } } }];
      const files = filesWith(async (read) => (read.path === file.path ? embeddings : bytesOf(read)));
      const request = { spec: { ...glimpse, variants }, device, assets };
      const engine = await kind.open(request, { files, emit() {}, signal });
      expect(engine.facts.device).toBe(device);
      const parts: Part[] = [];
      const job = chatJob({ sampling: { ...GREEDY, logitBias: [[1279, -100]] } });
      await engine.answer(job, (part) => parts.push(part), signal);
      await engine.close();
      return parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
    }

    test('embed tokens on the CPU, if they have to, and answer as on wasm', async () => {
      const embeddings = scaledHalves(readFileSync('models/glimpse/onnx/embed_tokens_q4f16.onnx'));
      expect(await answer('webgpu', embeddings)).toBe(await answer('wasm', embeddings));
    });

    test('are no models for it if the CPU lacks a kernel, so that wasm is tried next', async () => {
      const embeddings = quantizeEmbeddings(readFileSync('models/glimpse/onnx/embed_tokens_q4.onnx'), true, 'float16');
      expect(await answer('wasm', embeddings)).toMatch(/./);
      await expect(answer('webgpu', embeddings)).rejects.toMatchObject({
        code: 'unsupported_device',
        message: expect.stringContaining('The embed graph could not be opened') as string,
      });
    });
  },
);
