export { createNearsight } from './nearsight.ts';
export type { AskOptions, Limits, Nearsight, NearsightOptions } from './nearsight.ts';
export type { StatusValue } from './status.ts';
export { NearsightError, type ErrorCode } from './wire/error.ts';
export type { Assets, ModelFacts, Verdict } from './wire/runtime.ts';
export type { Device, ModelFile, ModelSpec, ModelVariant } from './wire/spec.ts';
