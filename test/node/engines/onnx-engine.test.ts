import { onnxEngine } from '../../../worker/engines/onnx/onnx-engine.ts';
import { testEngine } from './engine-cases.ts';

testEngine(onnxEngine);
