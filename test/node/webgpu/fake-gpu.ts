/** An adapter whose device computes nothing. `requested` lists the descriptors of requestDevice. */
export function fakeAdapter(changes: { features?: string[]; info?: Partial<GPUAdapterInfo> } = {}) {
  let lose = (_info: { reason: string; message: string }): void => {};
  const lost = new Promise((resolve) => (lose = resolve));
  const requested: GPUDeviceDescriptor[] = [];
  const destroy = (): void => lose({ reason: 'destroyed', message: 'it was destroyed' });
  const limits = {
    maxBufferSize: 2 ** 30,
    maxStorageBufferBindingSize: 2 ** 27,
    maxStorageBuffersPerShaderStage: 8,
    maxComputeWorkgroupStorageSize: 16384,
    maxComputeInvocationsPerWorkgroup: 256,
    maxComputeWorkgroupSizeX: 256,
    maxComputeWorkgroupsPerDimension: 65535,
  };
  const device = Object.assign(new EventTarget(), { lost, destroy, limits });
  const adapter = {
    info: { vendor: 'card', architecture: '', description: '', isFallbackAdapter: false, ...changes.info },
    features: new Set(changes.features ?? []),
    limits,
    requestDevice: async (descriptor: GPUDeviceDescriptor) => {
      requested.push(descriptor);
      return device;
    },
  } as unknown as GPUAdapter;
  return { adapter, destroy, requested };
}
