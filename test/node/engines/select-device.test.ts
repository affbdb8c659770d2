import { expect, test } from 'vitest';
import { smolvlm256m } from '../../../models/smolvlm-256m.ts';
import type { Device, ModelSpec } from '../../../src/protocol/model-spec.ts';
import { chooseVariants, type Machine } from '../../../worker/engines/common/select-device.ts';

/** What of an adapter decides. */
function adapter(features: string[], { vendor = 'card', maxBufferSize = 2 ** 30 } = {}): GPUAdapter {
  const info = { vendor, architecture: '', description: '', isFallbackAdapter: false };
  return { features: new Set(features), limits: { maxBufferSize }, info } as unknown as GPUAdapter;
}

const F16 = adapter(['shader-f16']);
const F32 = adapter([]);
const fast: ModelSpec = { ...smolvlm256m, wasm: 'ok' };
const onlyHalf: ModelSpec = { ...fast, variants: fast.variants.filter(({ dtype }) => dtype === 'q4f16') };

test.each<[string, ModelSpec, Device | 'auto', Machine, string[] | RegExp]>([
  ['a GPU with half floats', fast, 'auto', { adapter: F16 }, ['webgpu q4f16', 'webgpu q4', 'wasm q4']],
  ['a GPU without', fast, 'auto', { adapter: F32 }, ['webgpu q4', 'wasm q4']],
  [
    'a GPU, for a model that is slow on wasm',
    { ...fast, wasm: 'slow' },
    'auto',
    { adapter: F16 },
    ['webgpu q4f16', 'webgpu q4'],
  ],
  ['a GPU that was asked for', fast, 'webgpu', { adapter: F32 }, ['webgpu q4']],
  ['plenty of memory', fast, 'auto', { adapter: F16, gigabytes: 8 }, ['webgpu q4f16', 'webgpu q4', 'wasm q4']],
  ['half a gigabyte', fast, 'auto', { adapter: F16, gigabytes: 0.5 }, ['webgpu q4f16', 'webgpu q4', 'wasm q4']],
  ['a quarter of a gigabyte', fast, 'auto', { adapter: F16, gigabytes: 0.25 }, /has 0\.25 GB of memory/],
  ['a quarter of a gigabyte, wasm', fast, 'wasm', { adapter: null, gigabytes: 0.25 }, /has 0\.25 GB of memory/],
  ['no GPU', fast, 'auto', { adapter: null }, ['wasm q4']],
  [
    'no GPU, for a model that is slow on wasm',
    { ...fast, wasm: 'slow' },
    'auto',
    { adapter: null },
    /no WebGPU adapter.*too slow/,
  ],
  ['no GPU where one was asked for', fast, 'webgpu', { adapter: null }, /no WebGPU adapter/],
  ['a software adapter', fast, 'auto', { adapter: adapter([], { vendor: 'SwiftShader' }) }, ['wasm q4']],
  [
    'a software adapter that was asked for',
    fast,
    'webgpu',
    { adapter: adapter([], { vendor: 'SwiftShader' }) },
    ['webgpu q4'],
  ],
  ['small buffers', fast, 'auto', { adapter: adapter(['shader-f16'], { maxBufferSize: 2 ** 25 }) }, ['wasm q4']],
  [
    'small buffers, GPU only',
    fast,
    'webgpu',
    { adapter: adapter([], { maxBufferSize: 2 ** 25 }) },
    /maxBufferSize is 33554432/,
  ],
  ['half floats only, without them', onlyHalf, 'webgpu', { adapter: F32 }, /lacks shader-f16/],
  ['half floats only, wasm', onlyHalf, 'wasm', { adapter: null }, /no variant for wasm/],
])('%s', (_name, spec, device, machine, expected) => {
  const choose = (): string[] =>
    chooseVariants(spec, device, machine).map((choice) => `${choice.device} ${choice.variant.dtype}`);
  if (expected instanceof RegExp) expect(choose).toThrow(expected);
  else expect(choose()).toEqual(expected);
});
