import { afterAll } from 'vitest';
import type { TESTS_NOT_RUN } from '../second-engine/reasons.ts';

/** Which engine answers in this file's tests. */
export let engine: 'onnx' | 'transformers' = 'onnx';

/** Whether a test is left out, because the second engine answers; the list says why. */
export function isLeftOut(_test: keyof typeof TESTS_NOT_RUN): boolean {
  return engine === 'transformers';
}

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
