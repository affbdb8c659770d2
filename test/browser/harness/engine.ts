/** Which engine answers in this file's tests. */
export let engine: 'onnx' | 'transformers' = 'onnx';

/** Call it before the tests of another file are imported: they run on the second engine then. */
export function useTransformers(): void {
  engine = 'transformers';
}
