// onnxruntime with a graph of one node: what a page has before it loads a model.
import type * as Ort from 'onnxruntime-web';

/** The build to load, by URLs. */
export interface OrtFiles {
  script: string;
  mjs: string;
  wasm: string;
}

/** Negates one number. */
const GRAPH = 'CAg6NQoOCgF4EgF5GgFuIgNOZWcSAWdaDwoBeBIKCggIARIECgIIAWIPCgF5EgoKCAgBEgQKAggBQgIQEQ==';

async function open({ script, mjs, wasm }: OrtFiles, device: 'webgpu' | 'wasm'): Promise<void> {
  const ort: typeof Ort = await import(/* @vite-ignore */ script);
  ort.env.wasm.wasmPaths = { mjs, wasm };
  const graph = Uint8Array.from(atob(GRAPH), (character) => character.charCodeAt(0));
  const session = await ort.InferenceSession.create(graph, { executionProviders: [device] });
  await session.run({ x: new ort.Tensor('float32', Float32Array.of(1), [1]) });
}

addEventListener('message', ({ data }: MessageEvent<{ files: OrtFiles; device: 'webgpu' | 'wasm' }>) => {
  open(data.files, data.device).then(
    () => postMessage(''),
    (error: unknown) => postMessage(String(error)),
  );
});
