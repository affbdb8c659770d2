import { afterAll } from 'vitest';

/** Which engine answers in this file's tests. */
export let engine: 'onnx' | 'transformers' = 'onnx';

/**
 * Registers the tests of another file, to run on the second engine.
 *
 * @param name of the file in `test/browser`, without `.test.ts`
 */
export async function onSecondEngine(name: string): Promise<void> {
  engine = 'transformers';
  afterAll(() => {
    engine = 'onnx';
  });
  // Test files share their modules. With a query it is another module, which registers its tests once more.
  const file = new URL(`../${name}.test.ts`, import.meta.url).pathname;
  await import(/* @vite-ignore */ `${file}?second-engine`);
}
