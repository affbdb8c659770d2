import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { mended } from '../../../tools/build/files-beside.mjs';
import type { OrtModule } from '../../../worker/onnx/ort-module.ts';

// What is used of onnxruntime-web past its API. When a new version no longer has it, this says so, before a GPU does.

const names = {
  HEAPU8: true,
  _malloc: true,
  _free: true,
  setValue: true,
  getValue: true,
  lengthBytesUTF8: true,
  stringToUTF8: true,
  UTF8ToString: true,
  _OrtGetLastError: true,
  _OrtCreateRunOptions: true,
  _OrtAddRunConfigEntry: true,
  _OrtReleaseRunOptions: true,
  _OrtCreateTensor: true,
  _OrtReleaseTensor: true,
  _OrtCreateBinding: true,
  _OrtBindInput: true,
  _OrtBindOutput: true,
  _OrtReleaseBinding: true,
  _OrtRunWithBinding: true,
  webgpuRegisterBuffer: true,
  webgpuUnregisterBuffer: true,
} satisfies Record<keyof OrtModule, true>;

describe.each(['jspi.', 'asyncify.', ''])('the glue script of the build %j', (build) => {
  const name = `ort-wasm-simd-threaded.${build}mjs`;
  const script = readFileSync(`node_modules/onnxruntime-web/dist/${name}`, 'utf8');

  const used = Object.keys(names).filter((symbol) => build !== '' || !symbol.startsWith('webgpu'));
  test.each(used)('has %s', (symbol) => {
    expect(script).toContain(`.${symbol}=`);
  });

  test('leaves the module where the worker finds it', () => {
    expect(mended(name, script)).toContain('[import.meta.url]=moduleArg;return moduleRtn}');
  });
});

test.each(['webgpu', 'jspi'])(
  'the script of the build %s tells the GPU side how many dispatches make a submission',
  (build) => {
    const name = `ort.${build}.min.mjs`;
    const script = readFileSync(`node_modules/onnxruntime-web/dist/${name}`, 'utf8');
    expect(mended(name, script)).toMatch(
      /"validationMode",\w+\.validationMode,(\w+)\);\w+\(\w+,"maxNumPendingDispatches","48",\1\);/,
    );
  },
);
