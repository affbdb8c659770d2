/** Renderers that run on the CPU, by the words with which they describe themselves. */
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|softpipe|basic render|software/i;

/** True if the adapter computes on the CPU: correct, but far slower than wasm at what we do. */
export function isSoftware({ info }: GPUAdapter): boolean {
  return info.isFallbackAdapter || SOFTWARE.test(`${info.vendor} ${info.architecture} ${info.description}`);
}

/**
 * What is done differently on software adapters, which only tests use: `auto` never takes one. On all others, nothing.
 */
export interface SoftwareWorkarounds {
  /** Most rows of a prompt to run at once, if fewer than the decoder could take. */
  mostRows?: number | undefined;
  /** Whether attention in the vision encoder is left as it was exported, not fused into one operator. */
  plainVisionAttention?: boolean | undefined;
  /** Whether the self-test runs one crop only: shaders for several at once are compiled by the first image that needs them. */
  singleCrops?: boolean | undefined;
}

/** The one place that knows the adapters of test machines. */
export function softwareWorkarounds(adapter: GPUAdapter): SoftwareWorkarounds {
  if (!isSoftware(adapter)) return {};
  // Running several crops takes seconds there, more than compiling their shaders early saves.
  const singleCrops = true;
  if (adapter.info.architecture === 'swiftshader') return { singleCrops };
  // From 32 rows on, fused attention has a kernel of its own, which LLVM, under Mesa's lavapipe, compiles for minutes.
  return { singleCrops, mostRows: 31, plainVisionAttention: true };
}
