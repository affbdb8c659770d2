// A worker that runs the sampler only. `sampler.long.test.ts` builds and serves it.
import { findAdapter, Gpu } from '../../../worker/webgpu/gpu-device.ts';
import { compare } from '../../node/webgpu/gpu-sampler-cases.ts';

async function run(digits: number[]): Promise<string[]> {
  const adapter = await findAdapter();
  if (!adapter) throw new Error('no adapter');
  const { device, fault } = await Gpu.open(adapter);
  const small = await compare(device, { vocab: 1280, type: 'float32', cases: 40 });
  const large = await compare(device, { vocab: 49_280, type: 'float16', cases: 6 });
  const constrained = await compare(device, { vocab: 1280, type: 'float32', cases: 40, listed: digits });
  fault.throwIfAborted();
  return [...small, ...large, ...constrained];
}

onmessage = ({ data: { digits } }: MessageEvent<{ digits: number[] }>) => {
  run(digits).then(
    (wrong) => postMessage({ wrong }),
    (error: unknown) => postMessage({ wrong: [String(error)] }),
  );
};
