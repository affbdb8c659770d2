import { asNearsightError, ERRORS, type NearsightError } from '../protocol/errors.ts';
import { originHeaders } from './response-headers.ts';
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
  507: 'Insufficient Storage',
};

/** OpenAI's `type` of an error. */
export function errorKind(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  if (status === 429) return 'rate_limit_error';
  return status >= 500 ? 'server_error' : 'invalid_request_error';
}

/** The error envelope. */
export function errorBody(error: NearsightError): ErrorBody {
  const { message, param = null, code } = error;
  return { error: { message, type: errorKind(ERRORS[code].status), param, code } };
}

/** The Response for anything thrown; its `x-nearsight-reason` is the error's code. */
export function errorResponse(thrown: unknown, extra: Readonly<Record<string, string>> = {}): Response {
  const error = asNearsightError(thrown);
  const { status, retry = false } = ERRORS[error.code];
  const headers = {
    ...originHeaders(error.code),
    // SDKs retry every 5xx unless this header forbids it.
    'x-should-retry': String(retry),
    // LangChain retries a 429 only with this header. An answer takes about two seconds.
    ...(error.code === 'queue_full' && { 'retry-after': '2', 'retry-after-ms': '2000' }),
    ...extra,
  };
  return Response.json(errorBody(error), { status, statusText: STATUS_TEXT[status] ?? '', headers });
}
