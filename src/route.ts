import { modelNotFound } from './api/catalogue.ts';

/** Where a request goes, and why, for `x-nearsight-reason`. */
export interface Route {
  target: 'local';
  reason: 'model';
}

/**
 * Decides where a request goes. Pure.
 *
 * @param requested the model that the client asked for
 * @param served the models that run here
 * @throws NearsightError `model_not_found` if nobody serves it
 */
export function route(requested: string, served: readonly string[]): Route {
  if (served.includes(requested)) return { target: 'local', reason: 'model' };
  throw modelNotFound(requested, served);
}
