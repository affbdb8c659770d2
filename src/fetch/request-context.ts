import type { Session } from '../host/session.ts';
import type { ImageLimits } from '../protocol/job.ts';
import type { ImageRules } from '../media/load-images.ts';
import type { ChatRequest } from '../openai/parse-request.ts';
import type { NearsightError } from '../protocol/errors.ts';
import type { Endpoint } from './endpoint.ts';
import type { FetchOptions } from './fetch-options.ts';
import type { Body } from './request-body.ts';
import type { RouteInput } from './route.ts';

/** What `createFetch` takes: {@link FetchOptions}, and what answers. */
export interface InterceptOptions extends FetchOptions {
  /** Origins or URL prefixes that are answered here and never passed on. */
  intercept: readonly (string | URL)[];
  /** The name of the model that is served here. */
  model: () => Promise<string>;
  limits: { requestBytes: number } & ImageLimits & Pick<ImageRules, 'imageBytes' | 'images'>;
  /** Answers jobs. */
  engine: Pick<Session, 'generate'>;
  /** Ends what a remote is asked, whose caller does not. */
  disposal?: AbortSignal;
  /** Throws where no model can run; it is asked if code cannot be fetched. */
  checkContext?: () => void;
}

/** A call to an intercepted URL. */
export interface RequestContext {
  url: URL;
  endpoint: Endpoint | undefined;
  method: string;
  headers: Headers;
  body: Body;
  signal: AbortSignal | undefined;
  /** Aborted by the signal, and by `disposal`. */
  until: AbortSignal | undefined;
  /** The `fetch` that is wrapped. */
  fetch: typeof globalThis.fetch;
  options: InterceptOptions;
}

/** A chat request whose body has been read. */
export interface ChatContext extends Omit<RequestContext, 'endpoint' | 'method' | 'body'> {
  body: Record<string, unknown>;
  /** The body after its checks, or why it cannot be answered here. */
  request: ChatRequest | NearsightError;
  /** The local model's own name, then its aliases. */
  served: readonly [string, ...string[]];
  /** The page's, tightened by the request's header. */
  policy: RouteInput['policy'];
  /** As the client named it. */
  model: string;
  /** How many images the request carries. */
  images: number;
}
