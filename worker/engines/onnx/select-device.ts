import { NearsightError } from '../../../src/protocol/errors.ts';
import type { Verdict } from '../../../src/protocol/calls.ts';
import type { Device, ModelGraph, ModelSpec, ModelVariant } from '../../../src/protocol/model-spec.ts';
import { describe, findAdapter } from '../../webgpu/gpu-device.ts';
import { isSoftware } from '../../webgpu/software-adapter.ts';

/** A variant, and what it will run on. */
export type Choice = { variant: ModelVariant; reason: string } & (
  | { device: 'webgpu'; adapter: GPUAdapter; slow: boolean }
  | { device: 'wasm'; slow: boolean }
);

/**
 * Says where the model would be opened, before anything is downloaded.
 *
 * @throws NearsightError `unsupported_device`, as {@link choicesFor}
 */
export async function probe(spec: ModelSpec, device: Device | 'auto'): Promise<Verdict> {
  const [{ slow, variant, reason, device: chosen }] = await choicesFor(spec, device);
  const bytes = configBytes(spec) + graphBytes(variant);
  return { verdict: slow ? 'slow' : 'yes', device: chosen, dtype: variant.dtype, bytes, reason };
}

/** Bytes to read for every variant. */
export function configBytes({ files }: ModelSpec): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Bytes to read for one variant. */
export function graphBytes({ graphs: { vision, embed, decoder } }: ModelVariant): number {
  return bytesOf(vision) + bytesOf(embed) + bytesOf(decoder);
}

function bytesOf({ file, data }: ModelGraph): number {
  return data.reduce((sum, { bytes }) => sum + bytes, file.bytes);
}

/**
 * Where a model can run and which of its variants, best first. The next one is opened when the one before turns out not
 * to run here, or to compute wrongly.
 *
 * `auto` takes a GPU; without one it takes wasm, if the spec says `wasm: 'ok'`. It never takes a software adapter, which is
 * slower than wasm: those are for tests, and must be asked for with `device: 'webgpu'`.
 *
 * @throws NearsightError `unsupported_device` with the missing feature or the limit that decided, if there is no choice
 */
export async function choicesFor(spec: ModelSpec, device: Device | 'auto'): Promise<[Choice, ...Choice[]]> {
  if (device === 'wasm') return [onWasm(spec, 'wasm was asked for', true)];
  const adapter = await findAdapter();
  const obstacle = adapter ? obstacleOn(adapter, spec, device) : 'there is no WebGPU adapter here';
  if (adapter && obstacle === undefined) return onGpu(spec, adapter, device);
  if (device === 'webgpu') throw refusal(spec, `${obstacle}`);
  if (spec.wasm === 'slow') throw refusal(spec, `${obstacle}, and without a GPU this model is too slow`);
  return [onWasm(spec, `${obstacle}`, false)];
}

function onGpu(spec: ModelSpec, adapter: GPUAdapter, device: 'webgpu' | 'auto'): [Choice, ...Choice[]] {
  const slow = isSoftware(adapter);
  const reason = `WebGPU on ${slow ? 'a software adapter' : 'a GPU'}: ${describe(adapter.info)}`;
  const [first, ...others] = runnableOn(adapter, spec)
    .filter((variant) => fits(adapter, variant))
    .map((variant): Choice => ({ device: 'webgpu', adapter, variant, slow, reason }));
  if (!first) throw new NearsightError('internal', 'No variant runs on this adapter, but one was found before.');
  if (device === 'auto' && spec.wasm === 'ok' && wasmVariant(spec)) {
    others.push(onWasm(spec, 'the GPU cannot run it, or computes it wrongly', false));
  }
  return [first, ...others];
}

function onWasm(spec: ModelSpec, why: string, requested: boolean): Choice {
  const variant = wasmVariant(spec);
  if (!variant) throw refusal(spec, 'it has no variant for wasm');
  return {
    device: 'wasm',
    variant,
    slow: requested && spec.wasm === 'slow',
    reason: `wasm on the CPU, because ${why}`,
  };
}

function wasmVariant(spec: ModelSpec): ModelVariant | undefined {
  return spec.variants.find(({ devices }) => devices.includes('wasm'));
}

/** Why an adapter cannot run the model, or undefined if it can. */
function obstacleOn(adapter: GPUAdapter, spec: ModelSpec, device: 'webgpu' | 'auto'): string | undefined {
  if (device === 'auto' && isSoftware(adapter)) {
    return `the WebGPU adapter is a software adapter (${describe(adapter.info)})`;
  }
  if (!spec.variants.some(({ devices }) => devices.includes('webgpu'))) return 'the model has no variant for WebGPU';
  const runnable = runnableOn(adapter, spec);
  const [first] = runnable;
  if (!first) return 'the WebGPU adapter lacks shader-f16, which all variants of this model need';
  if (runnable.some((variant) => fits(adapter, variant))) return undefined;
  const { maxBufferSize } = adapter.limits;
  return `the WebGPU adapter's maxBufferSize is ${maxBufferSize}, the embedding table has ${bytesOf(first.graphs.embed)} bytes`;
}

function runnableOn({ features }: GPUAdapter, { variants }: ModelSpec): ModelVariant[] {
  const f16 = features.has('shader-f16');
  return variants.filter((variant) => variant.devices.includes('webgpu') && (f16 || !variant.f16));
}

/** The embeddings are one table, and one buffer must hold all of it. */
function fits({ limits }: GPUAdapter, { graphs }: ModelVariant): boolean {
  return bytesOf(graphs.embed) <= limits.maxBufferSize;
}

function refusal(spec: ModelSpec, reason: string): NearsightError {
  return new NearsightError('unsupported_device', `${spec.id} cannot run here: ${reason}.`);
}
