import { expose } from 'comlink';
import { checkBrowser } from './check-browser.ts';
import { engines } from './engines/engine-registry.ts';
import { createRuntime } from './runtime.ts';
import { lazyStore } from './storage/lazy-store.ts';

expose(createRuntime(engines, lazyStore, checkBrowser));
