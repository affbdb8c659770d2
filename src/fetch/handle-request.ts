import { isObject } from '../openai/field-checks.ts';
import { errorResponse } from '../openai/error-response.ts';
import { countImages } from '../openai/messages.ts';
import { getModel, health, listModels, modelNotFound } from '../openai/model-list.ts';
import { parseChat, type ChatRequest } from '../openai/parse-request.ts';
import { asNearsightError, NearsightError } from '../protocol/errors.ts';
import { answerChat } from './answer-chat.ts';
import { readJson } from './request-body.ts';
import type { InterceptOptions, RequestContext } from './request-context.ts';
import { tighten } from './route.ts';

/**
 * Answers a call to an intercepted URL, here or by the remote.
 *
 * @throws NearsightError for whatever is not a 200; or the signal's reason
 */
export async function handleRequest(context: RequestContext): Promise<Response> {
  const { endpoint, method, headers, options } = context;
  if (!endpoint) {
    const path = context.url.pathname.slice(0, 80);
    throw new NearsightError('unknown_url', `There is nothing at ${path}. Try POST /v1/chat/completions.`);
  }
  const expected = endpoint.name === 'chat' ? 'POST' : 'GET';
  if (method !== expected) {
    const error = new NearsightError('method_not_allowed', `This path takes ${expected}, not ${method}.`);
    return errorResponse(error, { allow: expected });
  }
  if (endpoint.name === 'ready' || endpoint.name === 'live') return health(endpoint.name);
  const served = await servedNames(options);
  if (endpoint.name === 'models') return endpoint.model ? getModel(served, endpoint.model) : listModels(served);
  const json = nameModel(await readJson(context.body, options.limits.requestBytes), endpoint.model);
  const body = isObject(json) ? json : {};
  const { model } = body;
  const policy = tighten(options.policy ?? 'local-first', headers.get('x-nearsight-policy'));
  return answerChat({
    ...context,
    body,
    policy,
    served,
    request: readRequest(json, served, options.images?.tags ?? endpoint.perModel),
    model: typeof model === 'string' ? model : '',
    images: countImages(body),
  });
}

/** The local model's own name, then its aliases. */
async function servedNames({ model, aliases = {} }: InterceptOptions): Promise<[string, ...string[]]> {
  const own = await model();
  const others = Object.entries(aliases).filter(([, target]) => target === own);
  return [own, ...others.map(([alias]) => alias)];
}

/** A model that the path names need not be in the body. */
function nameModel(body: unknown, model: string | undefined): unknown {
  return model && isObject(body) ? { ...body, model: body['model'] ?? model } : body;
}

/** The request, or why it cannot be answered here. */
function readRequest(body: unknown, served: readonly string[], imgTags?: boolean): ChatRequest | NearsightError {
  try {
    const request = parseChat(body, imgTags);
    return served.includes(request.model) ? request : modelNotFound(request.model, served);
  } catch (error) {
    return asNearsightError(error);
  }
}
