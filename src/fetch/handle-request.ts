import { readJson, type Body } from './request-body.ts';
import { getModel, health, listModels, modelNotFound } from '../openai/model-list.ts';
import { isObject } from '../openai/field-checks.ts';
import type { Endpoint } from './endpoint.ts';
import { errorResponse } from '../openai/error-response.ts';
import { countImages } from '../openai/messages.ts';
import { parseChat, type ChatRequest } from '../openai/parse-request.ts';
import { respond } from '../openai/respond.ts';
import { allowedUnder, inlineImage } from '../media/load-images.ts';
import { askRemote } from '../remote/ask-remote.ts';
import { route, tighten, type Reason, type RouteInput } from './route.ts';
import type { InterceptOptions } from './intercept.ts';
import { asNearsightError, NearsightError } from '../protocol/errors.ts';

/** A request to an owned address. */
export interface Call {
  url: URL;
  endpoint: Endpoint | undefined;
  method: string;
  headers: Headers;
  body: Body;
  signal: AbortSignal | undefined;
}

/**
 * Answers a request that the shim owns, here or by the remote.
 *
 * @throws NearsightError for whatever is not a 200; or the signal's reason
 */
export async function handleRequest(call: Call, options: InterceptOptions): Promise<Response> {
  const { endpoint, method } = call;
  if (!endpoint) {
    throw new NearsightError('unknown_url', 'There is nothing at this path. Try POST /v1/chat/completions.');
  }
  const expected = endpoint.name === 'chat' ? 'POST' : 'GET';
  if (method !== expected) {
    const error = new NearsightError('method_not_allowed', `This path takes ${expected}, not ${method}.`);
    return errorResponse(error, { allow: expected });
  }
  if (endpoint.name === 'ready' || endpoint.name === 'live') return health(endpoint.name);
  const served = await servedNames(options);
  if (endpoint.name === 'models') return endpoint.model ? getModel(served, endpoint.model) : listModels(served);
  const body = nameModel(await readJson(call.body, options.limits.requestBytes), endpoint.model);
  return chat(call, options, body, served);
}

/** The local model's own name, then its aliases. */
async function servedNames({ model, aliases = {} }: InterceptOptions): Promise<[string, ...string[]]> {
  const own = await model();
  const others = Object.entries(aliases).filter(([, target]) => target === own);
  return [own, ...others.map(([alias]) => alias)];
}

/** A model named by the path need not be named in the body. */
function nameModel(body: unknown, model: string | undefined): unknown {
  return model && isObject(body) ? { ...body, model: body['model'] ?? model } : body;
}

/** A chat request, tried here and there, as the policy says, until its first token. */
async function chat(
  call: Call,
  options: InterceptOptions,
  body: unknown,
  served: readonly [string, ...string[]],
): Promise<Response> {
  const { model, messages } = isObject(body) ? body : {};
  const facts: RouteInput = {
    policy: tighten(options.policy ?? 'local-first', call.headers.get('x-nearsight-policy')),
    remote: Boolean(options.remote),
    model: typeof model === 'string' ? model : '',
    images: countImages(messages),
  };
  const request = readRequest(body, options, served);
  if (request instanceof NearsightError) facts.localFault = request;
  for (;;) {
    const decision = route(facts);
    if (decision.target === 'refuse') throw decision.error;
    const { target, reason } = decision;
    try {
      if (target === 'local') return await answerLocally(request, call, options, facts, served[0], reason);
      return await answerRemotely(body, call, options, facts, served[0], reason);
    } catch (error) {
      call.signal?.throwIfAborted();
      facts[target === 'local' ? 'localFault' : 'remoteFault'] = asNearsightError(error);
    }
  }
}

/** The request, or why it cannot be answered here. */
function readRequest(
  body: unknown,
  { images }: InterceptOptions,
  served: readonly string[],
): ChatRequest | NearsightError {
  try {
    const request = parseChat(body, { imgTags: images?.tags });
    return served.includes(request.model) ? request : modelNotFound(request.model, served);
  } catch (error) {
    return asNearsightError(error);
  }
}

async function answerLocally(
  request: ChatRequest | NearsightError,
  { signal }: Call,
  options: InterceptOptions,
  { policy }: RouteInput,
  model: string,
  reason: Reason,
): Promise<Response> {
  if (request instanceof NearsightError) throw request;
  const parts = await options.generate(request, signal, allowedUnder(policy, options.images?.origins));
  return respond(request, parts, { model, reason, signal });
}

/** @throws NearsightError `remote_unavailable` also for an answer that says so, if the request can still be answered here */
async function answerRemotely(
  body: unknown,
  { url, headers, signal }: Call,
  { remote, fetch, limits }: InterceptOptions,
  facts: RouteInput,
  own: string,
  reason: Reason,
): Promise<Response> {
  if (!remote || !isObject(body)) throw new NearsightError('internal', 'There is no remote.');
  const { localFault } = facts;
  if (localFault && facts.model === own && !remote.model) {
    const { code, message, param } = localFault;
    throw new NearsightError(code, `${message} (The remote was not asked, because remote.model is not set.)`, {
      param,
    });
  }
  const { response, unavailable: down } = await askRemote(remote, {
    body,
    model: facts.model,
    local: facts.model === own,
    images: facts.images,
    reason,
    authorization: headers.get('authorization'),
    addressed: url,
    fetch: fetch ?? globalThis.fetch,
    inline: (image, param) => inlineImage(image, param, limits, signal),
    signal,
  });
  if (!down) return response;
  const remoteFault = new NearsightError('remote_unavailable', `The remote answered with status ${response.status}.`);
  if (route({ ...facts, remoteFault }).target !== 'local') return response;
  await response.body?.cancel();
  throw remoteFault;
}
