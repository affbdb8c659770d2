import { settledWithin } from '../../src/async/settled-within.ts';
import { asNearsightError, NearsightError } from '../../src/protocol/errors.ts';
import { softwareWorkarounds, type SoftwareWorkarounds } from './software-adapter.ts';

/**
 * The narrowest subgroups for which onnxruntime's kernels are correct. In 1.30 flash attention over 32 rows or more
 * computes wrong sums on narrower ones: logits are off by 3e-3 with 8 lanes (lavapipe), answers differ with 4
 * (SwiftShader). Without the feature it uses workgroup memory, as it always does on NVIDIA and Apple.
 */
const MIN_SUBGROUP_LANES = 16;

/**
 * Limits that are raised to the adapter's: for weights beyond WebGPU's defaults, and because onnxruntime chooses kernels
 * by the other limits.
 */
const RAISED = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  // The fused decode kernels bind up to 11; with the default of 8 they split in two.
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupsPerDimension',
] as const satisfies (keyof GPUSupportedLimits)[];

/** Most adapters and devices take milliseconds; drivers are known that never answer. */
const MAX_ANSWER_MS = 10_000;

/** The adapter of this machine, or null without one that can be used. */
export async function findAdapter(): Promise<GPUAdapter | null> {
  // `gpu` is typed as always present; outside secure contexts and in older browsers it is missing.
  const { gpu } = navigator as { gpu?: GPU };
  if (!gpu) return null;
  try {
    const adapter = await settledWithin(MAX_ANSWER_MS, gpu.requestAdapter({ powerPreference: 'high-performance' }));
    // Early implementations lack `info`, without which software and broken kernels cannot be told.
    return adapter && 'info' in adapter ? adapter : null;
  } catch {
    return null;
  }
}

/** The adapter's name: vendor, architecture, description. */
export function describe(info: GPUAdapterInfo): string {
  // Firefox gives no names.
  const unnamed = info.isFallbackAdapter ? 'software adapter' : 'unnamed adapter';
  return [info.vendor, info.architecture, info.description].filter(Boolean).join(' ') || unnamed;
}

/** The adapter's features that make kernels faster, except those that trigger wrong kernels. */
function features({ features: offered, info }: GPUAdapter): GPUFeatureName[] {
  const useful: GPUFeatureName[] = ['shader-f16'];
  if (info.subgroupMinSize >= MIN_SUBGROUP_LANES) useful.push('subgroups');
  return useful.filter((feature) => offered.has(feature));
}

/** Our own device on an adapter, watched for errors and loss. */
export class Gpu {
  readonly device: GPUDevice;
  readonly hardware: string;
  /** Workarounds for adapters that compute on the CPU. */
  readonly workarounds: SoftwareWorkarounds;
  /** Resolves when the device is lost. Pending operations may never settle then. */
  readonly lost: Promise<NearsightError>;
  /** Aborts at the first error that the GPU reports, or when it is lost, with a NearsightError as its reason. */
  readonly fault: AbortSignal;

  private constructor(device: GPUDevice, adapter: GPUAdapter) {
    this.device = device;
    this.hardware = describe(adapter.info);
    this.workarounds = softwareWorkarounds(adapter);
    const fault = new AbortController();
    this.fault = fault.signal;
    this.lost = device.lost.then(({ reason, message }) => {
      const text = `The GPU device was lost (${reason}): ${message || 'no reason given'}`;
      const error = new NearsightError('device_lost', text);
      fault.abort(error);
      return error;
    });
    device.addEventListener('uncapturederror', ({ error }) => {
      const text = `The GPU reported an error, so the answer cannot be trusted: ${error.message}`;
      fault.abort(new NearsightError('gpu_error', text));
    });
  }

  /**
   * Opens a device with the features and limits above.
   *
   * @throws NearsightError `unsupported_device` if the adapter creates no device
   */
  static async open(adapter: GPUAdapter): Promise<Gpu> {
    const descriptor = {
      requiredFeatures: features(adapter),
      requiredLimits: Object.fromEntries(RAISED.map((limit) => [limit, adapter.limits[limit]])),
    };
    const refuse = (why: string, cause?: unknown): never => {
      throw new NearsightError('unsupported_device', `The GPU device could not be created: ${why}`, { cause });
    };
    const device = await settledWithin(MAX_ANSWER_MS, adapter.requestDevice(descriptor)).catch((cause: unknown) =>
      refuse(asNearsightError(cause).message, cause),
    );
    return device ? new Gpu(device, adapter) : refuse('the driver did not answer in time');
  }

  close(): void {
    this.device.destroy();
  }
}
