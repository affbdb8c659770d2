import * as facade from '../../../worker/engines/transformers/ort-facade.ts';

/** Gives transformers.js the facade before it is imported: in Node there is no build that has an alias for it. */
export function useFacade(): void {
  Object.assign(globalThis, { [Symbol.for('onnxruntime')]: facade });
}
