// A worker around the sampler alone: `sampler.test.ts` builds and serves it.
import { findAdapter, Gpu } from '../../../worker/gpu/device.ts';
import { compare } from '../../node/gpu-sampler-cases.ts';

async function run(): Promise<string[]> {
  const adapter = await findAdapter();
  if (!adapter) throw new Error('no adapter');
  const { device, fault } = await Gpu.open(adapter);
  const small = await compare(device, { vocab: 1280, type: 'float32', cases: 40 });
  const large = await compare(device, { vocab: 49_280, type: 'float16', cases: 6 });
  fault.throwIfAborted();
  return [...small, ...large];
}

run().then(
  (wrong) => postMessage({ wrong }),
  (error: unknown) => postMessage({ wrong: [String(error)] }),
);
