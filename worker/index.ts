import { expose } from 'comlink';
import { engines } from './engines/engine-registry.ts';
import { createRuntime } from './runtime.ts';

expose(createRuntime(engines));
