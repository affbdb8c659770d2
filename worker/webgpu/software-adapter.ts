/** Words that renderers on the CPU have in their names. */
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|softpipe|basic render|software/i;

/** True if the adapter computes on the CPU: correct, but far slower than wasm for our graphs. */
export function isSoftware({ info }: GPUAdapter): boolean {
  return info.isFallbackAdapter || SOFTWARE.test(`${info.vendor} ${info.architecture} ${info.description}`);
}

/** Workarounds for software adapters, which only tests use: `auto` never takes one. Empty for all others. */
export interface SoftwareWorkarounds {
  /** Maximum number of prompt rows to read at once, if smaller than the decoder's own maximum. */
  maxRows?: number | undefined;
  /** Whether attention in the vision encoder is not fused into one operator. */
  unfusedVisionAttention?: boolean | undefined;
  /** Whether the self-test runs one crop only, so that shaders for several crops are compiled by the first image. */
  singleCrop?: boolean | undefined;
}

/** The workarounds for an adapter. All special cases for test machines are here. */
export function softwareWorkarounds(adapter: GPUAdapter): SoftwareWorkarounds {
  if (!isSoftware(adapter)) return {};
  // Running several crops takes seconds there, more than compiling their shaders early saves.
  const singleCrop = true;
  if (adapter.info.architecture === 'swiftshader') return { singleCrop };
  // From 32 rows on, fused attention uses another kernel, which Mesa's lavapipe compiles for minutes.
  return { singleCrop, maxRows: 31, unfusedVisionAttention: true };
}
