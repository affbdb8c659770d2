/**
 * Creates buffers or copies into them, and tells, later, whether there was no memory, which must not fail the request: outside
 * such a scope it is a fault of the device.
 */
export function attemptAllocation<T>(device: GPUDevice, create: () => T): [created: T, outOfMemory: Promise<boolean>] {
  device.pushErrorScope('validation');
  device.pushErrorScope('out-of-memory');
  const created = create();
  const errors = Promise.all([device.popErrorScope(), device.popErrorScope()]);
  return [created, errors.then((found) => found.some((error) => error !== null))];
}
