import { NearsightError } from '../../src/wire/error.ts';
import type { Verdict } from '../../src/wire/runtime.ts';
import type { Device, ModelSpec, ModelVariant } from '../../src/wire/spec.ts';
import { describe, findAdapter, isSoftware } from './device.ts';

/** What a model will run on. */
export type Choice = { variant: ModelVariant; reason: string } & (
  | { device: 'webgpu'; adapter: GPUAdapter; slow: boolean }
  | { device: 'wasm'; slow: boolean }
);

/** Can this browser run the model, before anything is downloaded? */
export async function probe(spec: ModelSpec, device: Device | 'auto'): Promise<Verdict> {
  try {
    const choice = await chooseDevice(spec, device);
    const { vision, embed, decoder, dtype } = choice.variant;
    const bytes = [...spec.files, vision, embed, decoder].reduce((sum, file) => sum + file.bytes, 0);
    return { verdict: choice.slow ? 'slow' : 'yes', device: choice.device, dtype, bytes, reason: choice.reason };
  } catch (error) {
    if (error instanceof NearsightError) return { verdict: 'no', reason: error.message };
    throw error;
  }
}

/**
 * Chooses where to run a model and which of its variants.
 *
 * `auto` takes a GPU; without one it takes wasm, if the spec calls the model bearable there. It never takes a software
 * adapter, which is slower than wasm: those are for tests, and must be asked for by name.
 *
 * @throws NearsightError `unsupported_device` with the missing feature or the limit that decided
 */
export async function chooseDevice(spec: ModelSpec, device: Device | 'auto'): Promise<Choice> {
  if (device === 'wasm') return onWasm(spec, 'wasm was asked for', true);
  const adapter = await findAdapter();
  const obstacle = adapter ? obstacleOn(adapter, spec, device) : 'there is no WebGPU adapter here';
  if (adapter && obstacle === undefined) return onGpu(spec, adapter);
  if (device === 'webgpu') throw refusal(spec, `${obstacle}`);
  if (!spec.bearableOnWasm) throw refusal(spec, `${obstacle}, and without a GPU this model is too slow`);
  return onWasm(spec, `${obstacle}`, false);
}

function onGpu(spec: ModelSpec, adapter: GPUAdapter): Choice {
  const variant = variantFor(adapter, spec);
  if (!variant) throw new NearsightError('internal', 'A variant was there a moment ago.');
  const slow = isSoftware(adapter);
  const reason = `WebGPU on ${slow ? 'a software adapter' : 'a GPU'}: ${describe(adapter.info)}`;
  return { device: 'webgpu', adapter, variant, slow, reason };
}

function onWasm(spec: ModelSpec, why: string, asked: boolean): Choice {
  const variant = spec.variants.find(({ devices }) => devices.includes('wasm'));
  if (!variant) throw refusal(spec, 'it has no variant for wasm');
  return { device: 'wasm', variant, slow: asked && !spec.bearableOnWasm, reason: `wasm on the CPU, because ${why}` };
}

/** Why an adapter cannot run the model, or undefined if it can. */
function obstacleOn(adapter: GPUAdapter, spec: ModelSpec, device: 'webgpu' | 'auto'): string | undefined {
  if (device === 'auto' && isSoftware(adapter)) {
    return `the WebGPU adapter draws in software (${describe(adapter.info)})`;
  }
  if (!spec.variants.some(({ devices }) => devices.includes('webgpu'))) return 'the model has no variant for WebGPU';
  const runnable = variantFor(adapter, spec);
  if (!runnable) return 'the WebGPU adapter lacks shader-f16, which all variants of this model need';
  // The embedding file is one table, and a buffer must hold it whole.
  const { maxBufferSize } = adapter.limits;
  if (runnable.embed.bytes > maxBufferSize) {
    return `the WebGPU adapter's maxBufferSize is ${maxBufferSize}, the embedding table has ${runnable.embed.bytes} bytes`;
  }
  return undefined;
}

function variantFor(adapter: GPUAdapter, spec: ModelSpec): ModelVariant | undefined {
  const f16 = adapter.features.has('shader-f16');
  return spec.variants.find((variant) => variant.devices.includes('webgpu') && (f16 || !variant.f16));
}

function refusal(spec: ModelSpec, why: string): NearsightError {
  return new NearsightError('unsupported_device', `${spec.id} cannot run here: ${why}.`);
}
