import { NearsightError } from '../protocol/errors.ts';
import { originHeaders } from './response-headers.ts';

/** `GET /v1/models`. */
export function listModels(ids: readonly string[]): Response {
  return json({ object: 'list', data: ids.map(card) });
}

/** `GET /v1/models/{id}`. @throws NearsightError `model_not_found` */
export function getModel(ids: readonly string[], id: string): Response {
  if (!ids.includes(id)) throw modelNotFound(id, ids);
  return json(card(id));
}

/** `GET /v1/health/ready` and `live`. Always ready, because the first request loads the model. */
export function health(probe: string): Response {
  return json({ object: 'health.response', message: `Service is ${probe}.` });
}

export function modelNotFound(id: string, ids: readonly string[]): NearsightError {
  const message = `The model '${id.slice(0, 80)}' is not served here. Served: ${ids.join(', ')}.`;
  return new NearsightError('model_not_found', message, { param: 'model' });
}

/** `created` is required, and unknown here: 0. */
function card(id: string) {
  return { id, object: 'model', created: 0, owned_by: 'nearsight' };
}

function json(body: unknown): Response {
  const headers = originHeaders('catalogue');
  return Response.json(body, { statusText: 'OK', headers });
}
