import { expose } from 'comlink';
import { createRuntime } from '../../../worker/runtime.ts';
import { fakeEngine } from './fake-engine.ts';
import { memoryStore } from './memory-store.ts';

expose(createRuntime([fakeEngine], memoryStore));
