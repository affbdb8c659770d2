/** A compiled entry point, and the buffers that it is bound to. */
export interface Kernel {
  pipeline: GPUComputePipeline;
  group: GPUBindGroup;
}

/** Compiles an entry point. The default layout is that of the bindings which it uses. */
export function compile(
  device: GPUDevice,
  module: GPUShaderModule,
  entryPoint: string,
  layout: GPUPipelineLayout | 'auto' = 'auto',
): GPUComputePipeline {
  return device.createComputePipeline({ label: entryPoint, layout, compute: { module, entryPoint } });
}

/** Binds buffers, in the order of the shader's bindings. */
export function bind(device: GPUDevice, pipeline: GPUComputePipeline, buffers: readonly GPUBuffer[]): Kernel {
  const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
  return { pipeline, group: device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }) };
}

export function dispatch(pass: GPUComputePassEncoder, { pipeline, group }: Kernel, x: number, y?: number): void {
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(x, y);
}

/** Encodes commands, and submits them together. */
export function submit(device: GPUDevice, encode: (encoder: GPUCommandEncoder) => void): void {
  const encoder = device.createCommandEncoder();
  encode(encoder);
  device.queue.submit([encoder.finish()]);
}
