import type { EngineKind } from './engine.ts';
import { onnxEngine } from './onnx/onnx-engine.ts';
import { transformersEngine } from './transformers/transformers-engine.ts';

/** The engines of the package, in order of preference. */
export const engines: readonly EngineKind[] = [onnxEngine, transformersEngine];
