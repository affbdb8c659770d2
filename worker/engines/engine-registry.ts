import type { EngineKind } from './engine.ts';
import { onnxEngine } from './onnx/open-engine.ts';

/** The engines of the package, in order of preference. */
export const engines: readonly EngineKind[] = [onnxEngine];
