/**
 * Dawn's bindings reject views on shared memory, such as the wasm heap; browsers accept them. Call this when WebGPU's globals
 * are in place.
 */
export function acceptSharedMemory() {
  const { writeBuffer } = GPUQueue.prototype;
  GPUQueue.prototype.writeBuffer = function (...args) {
    const [buffer, offset, data, start = 0, size] = args;
    if (!ArrayBuffer.isView(data) || !(data.buffer instanceof SharedArrayBuffer)) {
      return Reflect.apply(writeBuffer, this, args);
    }
    const unit = 'BYTES_PER_ELEMENT' in data ? Number(data.BYTES_PER_ELEMENT) : 1;
    const from = data.byteOffset + start * unit;
    const to = size === undefined ? data.byteOffset + data.byteLength : from + size * unit;
    return writeBuffer.call(this, buffer, offset, Uint8Array.from(new Uint8Array(data.buffer).subarray(from, to)));
  };
}
