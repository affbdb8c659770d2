import { resolveURL } from '../bytes/page-url.ts';
import { allowedUnder, inlineImage, loadImages } from '../media/load-images.ts';
import { withImages } from '../openai/messages.ts';
import type { ChatRequest } from '../openai/parse-request.ts';
import { respond } from '../openai/respond.ts';
import { asNearsightError, NearsightError } from '../protocol/errors.ts';
import type { ChatJob } from '../protocol/job.ts';
import type { RemoteOptions } from '../remote/remote-options.ts';
import type { ChatContext } from './request-context.ts';
import { route, type Reason, type RouteInput } from './route.ts';

/**
 * Answers a chat request here or by the remote, in the order that the policy gives, until one has a first token.
 *
 * @throws NearsightError of the last that was tried; or the signal's reason
 */
export async function answerChat(context: ChatContext): Promise<Response> {
  const { request, policy, model, images, signal } = context;
  const { remote } = context.options;
  let facts: RouteInput = { policy, model, images, remote: Boolean(remote) };
  if (request instanceof NearsightError) facts = { ...facts, localFault: request };
  for (;;) {
    const decision = route(facts);
    if (decision.target === 'refuse') throw decision.error;
    const { target, reason } = decision;
    try {
      if (target === 'local' || !remote) return await answerLocally(context, reason);
      return await answerRemotely(context, remote, facts, reason);
    } catch (error) {
      signal?.throwIfAborted();
      facts = { ...facts, [target === 'local' ? 'localFault' : 'remoteFault']: asNearsightError(error) };
    }
  }
}

async function answerLocally(context: ChatContext, reason: Reason): Promise<Response> {
  const { request, served, signal, options } = context;
  if (request instanceof NearsightError) throw request;
  // Not awaited: images are loaded while the model is.
  const parts = await options.engine.generate(makeJob(context, request), signal);
  return respond(request, parts, { model: served[0], reason, signal });
}

/** @throws NearsightError `invalid_request` at once for too many images */
function makeJob({ policy, options, signal }: ChatContext, { turns, job }: ChatRequest): Promise<ChatJob> {
  const { pixels, ...limits } = options.limits;
  const allowed = allowedUnder(policy, options.images?.origins);
  const refs = turns.flatMap(({ parts }) => parts.filter((part) => part.type === 'image'));
  const loading = loadImages(refs, { ...limits, allowed }, signal);
  return loading.then((files) => ({ ...job, turns: withImages(turns, files), limits: { pixels } }));
}

/**
 * @throws NearsightError what it could not be answered for here, if the remote cannot be asked; `remote_unavailable` also if it
 *   answers that it cannot serve the request, while the local model still can
 */
async function answerRemotely(
  context: ChatContext,
  remote: RemoteOptions,
  facts: RouteInput,
  reason: Reason,
): Promise<Response> {
  const { model, served, options, until: signal } = context;
  const { localFault } = facts;
  const isOwn = model === served[0];
  const base = resolveURL(remote.baseURL);
  const noPage = 'remote.baseURL is a path, and there is no page here that it could be a path of';
  const missing = isOwn && !remote.model ? 'remote.model is not set' : !base && noPage;
  if (localFault && missing) {
    const { code, message, param } = localFault;
    throw new NearsightError(code, `${message} (The remote was not asked, because ${missing}.)`, { param });
  }
  if (!base) throw new NearsightError('remote_unavailable', `The remote was not asked, because ${noPage}.`);
  const { askRemote } = await importRemote();
  const { response, unavailable } = await askRemote(
    remote,
    { ...context, signal },
    {
      base,
      model: isOwn ? remote.model : model,
      reason,
      inline: (url, param) => inlineImage({ url, param }, options.limits.requestBytes, signal),
    },
  );
  if (!unavailable) return response;
  const remoteFault = new NearsightError('remote_unavailable', `The remote answered with status ${response.status}.`);
  if (route({ ...facts, remoteFault }).target !== 'local') return response;
  await response.body?.cancel();
  throw remoteFault;
}

/** A chunk of its own: most requests are answered here. */
async function importRemote(): Promise<typeof import('../remote/ask-remote.ts')> {
  try {
    return await import('../remote/ask-remote.ts');
  } catch (cause) {
    const message = 'A file of nearsight that asks the remote could not be loaded, so nothing was sent.';
    throw new NearsightError('remote_unavailable', message, { cause });
  }
}
