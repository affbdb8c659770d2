export { smolvlm256m } from '../models/smolvlm-256m.ts';
export { createNearsight } from './client/create-nearsight.ts';
export type { AskOptions, Limits, Nearsight, NearsightOptions } from './client/create-nearsight.ts';
export type { DialectName } from './remote/dialects.ts';
export type * from './openai/types.ts';
export type { ConsentRequest, RemoteOptions } from './remote/ask-remote.ts';
export type { ChoosePolicy, Policy, RouteFacts } from './fetch/route.ts';
export type { ImageOptions, FetchOptions as WireOptions } from './fetch/intercept.ts';
export type { StatusValue } from './host/status.ts';
export { isNearsightError, NearsightError, type ErrorCode } from './protocol/errors.ts';
export type { Assets, ModelFacts, Verdict } from './protocol/calls.ts';
export type {
  Device,
  GraphName,
  ModelFile,
  ModelGraph,
  ModelLicence,
  ModelSpec,
  ModelVariant,
} from './protocol/model-spec.ts';
