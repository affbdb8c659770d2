import { NearsightError } from '../../../src/protocol/errors.ts';
import type { Device, ModelFile, ModelGraph, ModelSpec, ModelVariant } from '../../../src/protocol/model-spec.ts';
import type { EngineVerdict } from '../engine.ts';
import { describe, findAdapter } from '../../webgpu/gpu-device.ts';
import { isSoftware } from '../../webgpu/software-adapter.ts';

/** A variant, and what it will run on. */
export interface Choice {
  variant: ModelVariant;
  device: Device;
  /** Absent on wasm. */
  adapter?: GPUAdapter;
  slow: boolean;
  reason: string;
}

/**
 * Says where the model would be opened, before anything is downloaded.
 *
 * @throws NearsightError `unsupported_device`, as {@link choicesFor}
 */
export async function probe(spec: ModelSpec, device: Device | 'auto'): Promise<EngineVerdict> {
  const [{ slow, variant, reason, device: chosen }] = await choicesFor(spec, device);
  const bytes = configBytes(spec) + graphBytes(variant);
  const verdict = slow ? 'slow' : 'yes';
  return { verdict: { verdict, device: chosen, dtype: variant.dtype, bytes, reason }, files: filesFor(spec, variant) };
}

/** The files to read for a variant. */
export function filesFor({ files }: ModelSpec, { graphs }: ModelVariant): readonly ModelFile[] {
  return [...files, ...Object.values(graphs).flatMap(({ file, data }: ModelGraph) => [file, ...data])];
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

/** What decides, of a machine. */
export interface Machine {
  adapter: GPUAdapter | null;
  /** `navigator.deviceMemory`, which is 8 for more as well; undefined where the browser does not tell. */
  gigabytes?: number | undefined;
}

/** Memory that an open model takes, as a multiple of its graphs' bytes: SmolVLM-256M with 4-bit weights takes 0.5 GB. */
const MEMORY_PER_BYTE = 2.5;

/** {@link chooseVariants} on this machine. */
export async function choicesFor(spec: ModelSpec, device: Device | 'auto'): Promise<[Choice, ...Choice[]]> {
  const { deviceMemory: gigabytes }: { deviceMemory?: number } = Object(globalThis.navigator);
  return chooseVariants(spec, device, { adapter: device === 'wasm' ? null : await findAdapter(), gigabytes });
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
export function chooseVariants(spec: ModelSpec, device: Device | 'auto', machine: Machine): [Choice, ...Choice[]] {
  if (device === 'wasm') return [onWasm(spec, machine, 'wasm was asked for', true)];
  const found = onGpu(spec, machine, device);
  if (typeof found !== 'string') return found;
  if (device === 'webgpu') throw refusal(spec, found);
  if (spec.wasm === 'slow') throw refusal(spec, `${found}, and without a GPU this model is too slow`);
  return [onWasm(spec, machine, found, false)];
}

/** The choices on the adapter, or why it cannot run the model. */
function onGpu(spec: ModelSpec, machine: Machine, device: 'webgpu' | 'auto'): [Choice, ...Choice[]] | string {
  const { adapter } = machine;
  if (!adapter) return 'there is no WebGPU adapter here';
  const slow = isSoftware(adapter);
  const name = describe(adapter.info);
  if (slow && device === 'auto') return `the WebGPU adapter is a software adapter (${name})`;
  const variants = spec.variants.filter(({ devices }) => devices.includes('webgpu'));
  if (variants.length === 0) return 'the model has no variant for WebGPU';
  const runnable = variants.filter(({ f16 }) => !f16 || adapter.features.has('shader-f16'));
  const [preferred] = runnable;
  if (!preferred) return 'the WebGPU adapter lacks shader-f16, which all variants of this model need';
  const { maxBufferSize } = adapter.limits;
  // The embeddings are one table, and one buffer must hold all of it.
  const bindable = runnable.filter(({ graphs }) => bytesOf(graphs.embed) <= maxBufferSize);
  if (bindable.length === 0) {
    const bytes = bytesOf(preferred.graphs.embed);
    return `the WebGPU adapter's maxBufferSize is ${maxBufferSize}, the embedding table has ${bytes} bytes`;
  }
  const reason = `WebGPU on ${slow ? 'a software adapter' : 'a GPU'}: ${name}`;
  const [first, ...others] = bindable
    .filter((variant) => fits(variant, machine))
    .map((variant): Choice => ({ device: 'webgpu', adapter, variant, slow, reason }));
  if (!first) return lacksMemory(machine);
  if (device === 'auto' && spec.wasm === 'ok' && wasmVariants(spec).some((variant) => fits(variant, machine))) {
    others.push(onWasm(spec, machine, 'the GPU cannot run it, or computes it wrongly', false));
  }
  return [first, ...others];
}

function onWasm(spec: ModelSpec, machine: Machine, why: string, requested: boolean): Choice {
  const variants = wasmVariants(spec);
  if (variants.length === 0) throw refusal(spec, 'it has no variant for wasm');
  const variant = variants.find((each) => fits(each, machine));
  if (!variant) throw refusal(spec, lacksMemory(machine));
  const slow = requested && spec.wasm === 'slow';
  return { device: 'wasm', variant, slow, reason: `wasm on the CPU, because ${why}` };
}

function wasmVariants(spec: ModelSpec): readonly ModelVariant[] {
  return spec.variants.filter(({ devices }) => devices.includes('wasm'));
}

function fits(variant: ModelVariant, { gigabytes = Infinity }: Machine): boolean {
  return graphBytes(variant) * MEMORY_PER_BYTE <= gigabytes * 2 ** 30;
}

function lacksMemory({ gigabytes }: Machine): string {
  return `the device has ${gigabytes} GB of memory (navigator.deviceMemory), too little for any variant of this model`;
}

function refusal(spec: ModelSpec, reason: string): NearsightError {
  return new NearsightError('unsupported_device', `${spec.id} cannot run here: ${reason}.`);
}
