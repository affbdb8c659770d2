import type { InferenceSession, Ort } from './ort.ts';

/**
 * The part of onnxruntime-web's Emscripten module that is used past its API. These names are internal and may change with
 * any release: the version is pinned, and a test looks for them.
 */
export interface OrtModule {
  /** The heap. Stale once it has grown, until {@link getValue} or another function looks. */
  readonly HEAPU8: Uint8Array;
  _malloc(bytes: number): number;
  _free(pointer: number): void;
  setValue(pointer: number, value: number, type: 'i32' | '*'): void;
  getValue(pointer: number, type: 'i32' | '*'): number;
  lengthBytesUTF8(text: string): number;
  stringToUTF8(text: string, pointer: number, bytes: number): void;
  UTF8ToString(pointer: number): string;
  _OrtGetLastError(code: number, message: number): number;
  _OrtCreateRunOptions(severity: number, verbosity: number, terminate: boolean, tag: number): number;
  _OrtAddRunConfigEntry(options: number, key: number, value: number): number;
  _OrtReleaseRunOptions(options: number): number;
  _OrtCreateTensor(type: number, data: number, bytes: number, dims: number, rank: number, location: number): number;
  _OrtReleaseTensor(tensor: number): number;
  _OrtCreateBinding(session: number): number;
  _OrtBindInput(binding: number, name: number, tensor: number): number | Promise<number>;
  _OrtBindOutput(binding: number, name: number, tensor: number, location: number): number;
  _OrtReleaseBinding(binding: number): number;
  _OrtRunWithBinding(
    session: number,
    binding: number,
    count: number,
    outputs: number,
    options: number,
  ): number | Promise<number>;
  /** Counts the uses of a buffer. @returns its handle, which is the same until it is no longer used */
  webgpuRegisterBuffer(buffer: GPUBuffer, session: number): number;
  webgpuUnregisterBuffer(buffer: GPUBuffer): void;
}

declare global {
  /** Where the package's copies of onnxruntime's glue scripts leave the modules, each under the URL of the script. */
  // oxlint-disable-next-line no-var -- only `var` declares a global
  var nearsightOrtModules: Record<string, OrtModule> | undefined;
}

/** The module of a build that has started; undefined if its glue script is not one of the package's copies. */
export function ortModule({ env }: Ort): OrtModule | undefined {
  const { wasmPaths } = env.wasm;
  return typeof wasmPaths === 'object' ? globalThis.nearsightOrtModules?.[String(wasmPaths.mjs)] : undefined;
}

/** onnxruntime's handle of a session, which its API hides. */
export function sessionHandle(session: InferenceSession): number | undefined {
  const { handler }: { handler?: { sessionId?: unknown } } = Object(session);
  return typeof handler?.sessionId === 'number' ? handler.sessionId : undefined;
}
