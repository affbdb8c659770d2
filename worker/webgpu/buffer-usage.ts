/** Bits of WebGPU's flag namespaces, which TypeScript's own library declares as types only. */
export const MAP_READ = 0x1;
export const COPY_SRC = 0x4;
export const COPY_DST = 0x8;
export const UNIFORM = 0x40;
export const STORAGE = 0x80;
/** `GPUMapMode.READ`. */
export const MODE_READ = 0x1;
/** `GPUShaderStage.COMPUTE`. */
export const VISIBLE_COMPUTE = 0x4;
