import type { Heap } from '../backend/heap.ts';
import type { OrtModule } from '../onnx/ort-module.ts';

/** Memory in onnxruntime's heap, which it reads and writes in place. */
export class WasmHeap implements Heap {
  readonly #module: OrtModule;

  constructor(module: OrtModule) {
    this.#module = module;
  }

  allocate(bytes: number): number | undefined {
    return this.#module._malloc(bytes) || undefined;
  }

  free(address: number): void {
    this.#module._free(address);
  }

  bytes(address: number, length: number): Uint8Array {
    // When the heap has grown, the module's own view is renewed as one of its functions looks.
    this.#module.getValue(address, 'i32');
    return new Uint8Array(this.#module.HEAPU8.buffer, address, length);
  }

  floats(address: number, length: number): Float32Array {
    return new Float32Array(this.bytes(address, 4 * length).buffer, address, length);
  }

  ints(address: number, length: number): Int32Array {
    return new Int32Array(this.bytes(address, 4 * length).buffer, address, length);
  }
}
