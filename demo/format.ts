import type { Device, ModelLicence } from 'nearsight';

const DEVICE_NAMES = { webgpu: 'WebGPU', wasm: 'the CPU' } satisfies Record<Device, string>;

/** The name of a device for visitors. */
export function deviceName(device: Device | undefined): string {
  return device ? DEVICE_NAMES[device] : 'this device';
}

/** Decimal megabytes, as in browsers' download lists; tenths only where they matter. */
export function megabytes(bytes: number): string {
  if (bytes > 0 && bytes < 1e5) return `${Math.ceil(bytes / 1e3)} kB`;
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  return `${(bytes / 1e6).toFixed(bytes < 10e6 ? 1 : 0)} MB`;
}

/** Whole percent, which reach 100 only at the end. */
export function percent(part: number, whole: number): string {
  return `${whole > 0 ? Math.floor((100 * part) / whole) : 0}\u00a0%`;
}

/** How long something will take, as precisely as an estimate deserves. */
export function timeLeft(seconds: number): string {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s left`;
  return `about ${Math.round(seconds / 60)} min left`;
}

export function licenceName({ spdx, name }: ModelLicence): string {
  return spdx ?? name ?? 'unknown licence';
}

/** A duration with three digits at most. */
export function milliseconds(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  return `${ms.toFixed(ms < 10 ? 2 : ms < 100 ? 1 : 0)} ms`;
}

/** What the visitor should know before a download: undefined for a licence that lets everybody do everything. */
export function termsOf(licence: ModelLicence): string | undefined {
  if (!licence.restricted) return undefined;
  const what = licence.restriction === undefined ? '' : `: ${licence.restriction}`;
  return `${licenceName(licence)} restricts the use of this model${what}.`;
}
