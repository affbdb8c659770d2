import { asNearsightError, type ErrorCode, type NearsightError } from '../wire/error.ts';
import { originHeaders, randomId } from './identity.ts';
import type { ErrorBody } from './types.ts';

const STATUS_TEXT: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  429: 'Too Many Requests',
  499: 'Client Closed Request',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
};

/** Faults that may be gone when the request is sent again. SDKs retry every other 5xx too, unless told not to. */
const PASSING: readonly ErrorCode[] = [
  'rate_limited',
  'queue_full',
  'worker_crashed',
  'device_lost',
  'gpu_error',
  'load_failed',
  'remote_unavailable',
];

/** OpenAI's coarse kind of an error. */
export function errorKind(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  if (status === 429) return 'rate_limit_error';
  return status >= 500 ? 'server_error' : 'invalid_request_error';
}

/** The envelope that clients parse. */
export function errorBody(error: NearsightError): ErrorBody {
  return {
    error: { message: error.message, type: errorKind(error.status), param: error.param ?? null, code: error.code },
  };
}

/** Anything thrown, as the Response that says so; `reason` is its code. */
export function errorResponse(thrown: unknown, extra: Readonly<Record<string, string>> = {}): Response {
  const error = asNearsightError(thrown);
  const headers = new Headers({
    ...originHeaders({ model: '', reason: error.code, requestId: randomId() }),
    'content-type': 'application/json',
    'x-should-retry': String(PASSING.includes(error.code)),
    ...extra,
  });
  if (error.code === 'queue_full') {
    // LangChain does not retry a 429 without a hint. A generation takes about this long.
    headers.set('retry-after', '2');
    headers.set('retry-after-ms', '2000');
  }
  const statusText = STATUS_TEXT[error.status] ?? '';
  return new Response(JSON.stringify(errorBody(error)), { status: error.status, statusText, headers });
}
