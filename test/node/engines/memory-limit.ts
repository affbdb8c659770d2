/** Labels of the buffers that hold keys and values. */
const KV_LABELS = /^(past_key_values|KV snapshot)/;

/** A limit on a GPU's memory for keys and values. */
export interface MemoryLimit {
  bytes: number;
  readonly used: number;
  /** Buffers for keys and values that were made since, and are not destroyed. */
  readonly buffers: number;
  lift(): void;
}

/**
 * Limits the memory of every GPU in this process. Software renderers accept buffers that the machine has no memory for, so
 * beyond the limit a texture is requested that they refuse: the error is the GPU's own.
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
    get buffers(): number {
      return held.size;
    },
    lift() {
      GPUDevice.prototype.createBuffer = createBuffer;
      GPUBuffer.prototype.destroy = destroy;
    },
  };
  GPUDevice.prototype.createBuffer = function create(descriptor) {
    if (!KV_LABELS.test(descriptor.label ?? '')) return createBuffer.call(this, descriptor);
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
