/** Buffers that hold keys and values. */
const HELD = /^(past_key_values|KV snapshot)/;

/** A GPU's memory for keys and values, as far as a test lets it have any. */
export interface MemoryLimit {
  bytes: number;
  readonly used: number;
  lift(): void;
}

/**
 * Limits the memory of every GPU in this process. Software renderers promise what the machine does not have, so one that
 * would go beyond the limit is asked for something that it does know to be too much: the error is its own.
 */
export function limitMemory(bytes = Infinity): MemoryLimit {
  const { createBuffer } = GPUDevice.prototype;
  const { destroy } = GPUBuffer.prototype;
  const held = new Set<GPUBuffer>();
  const limit = {
    bytes,
    get used(): number {
      return [...held].reduce((sum, { size }) => sum + size, 0);
    },
    lift() {
      GPUDevice.prototype.createBuffer = createBuffer;
      GPUBuffer.prototype.destroy = destroy;
    },
  };
  GPUDevice.prototype.createBuffer = function create(descriptor) {
    if (!HELD.test(descriptor.label ?? '')) return createBuffer.call(this, descriptor);
    if (limit.used + descriptor.size > limit.bytes) {
      const edge = this.limits.maxTextureDimension3D;
      this.createTexture({ size: [edge, edge, edge], dimension: '3d', format: 'rgba32float', usage: 1 }).destroy();
      return createBuffer.call(this, { ...descriptor, size: 4 });
    }
    const buffer = createBuffer.call(this, descriptor);
    held.add(buffer);
    return buffer;
  };
  GPUBuffer.prototype.destroy = function release() {
    held.delete(this);
    return destroy.call(this);
  };
  return limit;
}
