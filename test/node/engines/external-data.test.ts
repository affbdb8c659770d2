import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { glimpse } from '../../../models/glimpse.ts';
import { bytesIn } from '../../../src/bytes/file-bytes.ts';
import { GREEDY, type Part } from '../../../src/protocol/job.ts';
import type { LoadPart } from '../../../src/protocol/calls.ts';
import type { ModelFile, ModelGraph, ModelSpec } from '../../../src/protocol/model-spec.ts';
import { onnxEngine } from '../../../worker/engines/onnx/onnx-engine.ts';
import { DownloadedFiles } from '../../../worker/storage/downloaded-files.ts';
import { split } from '../onnx/split-graph.ts';
import { chatJob } from './chat-job.ts';
import { assets } from './dawn-engine.ts';
import { bytesOf } from './disk-store.ts';

const JOB = chatJob({ sampling: { ...GREEDY, logitBias: [[1279, -100]] }, topLogprobs: 3 });

function file(path: string, bytes: Uint8Array): ModelFile {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const url = `data:application/octet-stream;base64,${Buffer.from(bytes).toString('base64')}`;
  return { path, bytes: bytes.length, sha256, url };
}

/** The same graph with its large weights in other files: the table of embeddings in one, others in two. */
function splitGraph({ file: { path, ...rest } }: ModelGraph): ModelGraph {
  const name = `${path.slice('onnx/'.length)}_data`;
  const paths = path.includes('embed') ? [name] : [name, `more/${name}`];
  const { graph, externalData } = split(new Uint8Array(bytesOf({ path, ...rest })), paths);
  expect(graph.byteLength).toBeLessThan(rest.bytes / 4);
  return {
    file: file(path, bytesIn(graph)),
    data: externalData.map((each) => file(`onnx/${each.path}`, bytesIn(each.data))),
  };
}

const inline = (path: ModelFile): ModelFile => file(path.path, bytesOf(path));
const variant = glimpse.variants[0]!;
const { vision, embed, decoder } = variant.graphs;
const splitSpec: ModelSpec = {
  ...glimpse,
  files: glimpse.files.map(inline),
  variants: [
    { ...variant, graphs: { vision: splitGraph(vision), embed: splitGraph(embed), decoder: splitGraph(decoder) } },
  ],
};
const wholeSpec: ModelSpec = {
  ...splitSpec,
  variants: [
    {
      ...variant,
      graphs: {
        vision: { file: inline(vision.file), data: [] },
        embed: { file: inline(embed.file), data: [] },
        decoder: { file: inline(decoder.file), data: [] },
      },
    },
  ],
};

const request = (spec: ModelSpec) => ({ spec, device: 'wasm', assets }) as const;
const { signal } = new AbortController();

describe('a model with external data', { timeout: 60_000 }, () => {
  async function answer(spec: ModelSpec): Promise<{ loads: LoadPart[]; parts: Part[] }> {
    const loads: LoadPart[] = [];
    const engine = await onnxEngine.open(request(spec), {
      files: new DownloadedFiles('a test'),
      emit: (part) => loads.push(part),
      signal,
    });
    const parts: Part[] = [];
    await engine.answer(JOB, (part) => parts.push(part), signal);
    await engine.close();
    return { loads, parts };
  }

  test('answers with the tokens and log probabilities of the model in single files, and counts all bytes', async () => {
    const whole = await answer(wholeSpec);
    const external = await answer(splitSpec);
    expect(external.parts).toEqual(whole.parts);
    expect(external.parts.length).toBeGreaterThan(10);
    const graphs = Object.values(splitSpec.variants[0]!.graphs).flatMap(({ file, data }) => [file, ...data]);
    const total = [...splitSpec.files, ...graphs].reduce((sum, { bytes }) => sum + bytes, 0);
    const downloads = external.loads.filter(({ state }) => state === 'downloading');
    expect(downloads.at(-1)).toMatchObject({ loadedBytes: total, totalBytes: total });
    const { verdict, files } = await onnxEngine.probe(splitSpec, 'wasm');
    expect(verdict.bytes).toBe(total);
    expect(files.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(total);
  });
});

describe('a spec that does not fit the graph is refused when it is opened', { timeout: 60_000 }, () => {
  const open = (name: 'vision' | 'embed' | 'decoder', change: (graph: ModelGraph) => ModelGraph): Promise<unknown> => {
    const graphs = splitSpec.variants[0]!.graphs;
    const variants = [{ ...variant, graphs: { ...graphs, [name]: change(graphs[name]) } }];
    return onnxEngine.open(request({ ...splitSpec, variants }), {
      files: new DownloadedFiles('a test'),
      emit: () => {},
      signal,
    });
  };

  test.each(['vision', 'embed', 'decoder'] as const)('%s: a file that the spec does not list', async (name) => {
    const missing = open(name, ({ file: graph, data }) => ({ file: graph, data: data.slice(0, -1) }));
    const { path } = splitSpec.variants[0]!.graphs[name].data.at(-1)!;
    await expect(missing).rejects.toMatchObject({
      code: 'load_failed',
      message: expect.stringContaining(path.slice('onnx/'.length)) as string,
    });
  });

  test.each(['vision', 'embed', 'decoder'] as const)(
    '%s: a file that is shorter than the graph needs',
    async (name) => {
      const cut = open(name, ({ file: graph, data: [first, ...others] }) => {
        const bytes = Buffer.from(String(first!.url).split(',')[1]!, 'base64').subarray(0, 4096);
        return { file: graph, data: [file(first!.path, bytes), ...others] };
      });
      const { path } = splitSpec.variants[0]!.graphs[name].data[0]!;
      await expect(cut).rejects.toMatchObject({
        code: 'load_failed',
        message: expect.stringContaining(path.slice('onnx/'.length)) as string,
      });
    },
  );

  test('external data is verified like every file', async () => {
    const wrong = open('decoder', ({ file: graph, data: [first, ...others] }) => ({
      file: graph,
      data: [{ ...first!, sha256: '0'.repeat(64) }, ...others],
    }));
    await expect(wrong).rejects.toMatchObject({ code: 'integrity' });
  });
});
