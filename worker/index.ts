import { expose } from 'comlink';
import { checkBrowser } from './check-browser.ts';
import { engines } from './engines/engine-registry.ts';
import { createRuntime } from './runtime.ts';
import { httpStore } from './storage/http-store.ts';

expose(createRuntime(engines, httpStore, checkBrowser));
