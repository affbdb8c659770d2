import { expose } from 'comlink';
import { createRuntime } from '../../../worker/runtime.ts';
import { fakeEngine } from './fake-engine.ts';

expose(createRuntime([fakeEngine]));
