export { createNimProxy } from './proxy.ts';
export type { NimProxy } from './proxy.ts';
export type { NimProxyOptions } from './proxy-options.ts';
export { memoryStore } from './limits.ts';
export type { RateLimit, RateStore } from './limits.ts';
export { toNodeHandler } from './node.ts';
export type { NodeRequest, NodeResponse } from './node.ts';
