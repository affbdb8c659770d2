/**
 * Everything that can go wrong, by name. The set is closed: callers switch on `code`, never on the message.
 *
 * The number beside each code is the HTTP status that `fetch` answers with.
 */
export const ERROR_STATUS = {
  /** The request is malformed, or a value is out of range. */
  invalid_request: 400,
  /** A documented field that this endpoint cannot honour (yet): refused rather than ignored. */
  unsupported_field: 400,
  /** What constrains the answer leaves no token that could come next. */
  constraint_unsatisfiable: 400,
  /** A picture that cannot be read: not an image, truncated, too large, blocked by CORS, not found. */
  unreadable_image: 400,
  /** Prompt and `max_tokens` do not fit in the model's context, or in what memory this device has for it. */
  context_length_exceeded: 400,
  /** A proxy's `authorize` did not let the caller in. */
  unauthorized: 401,
  /** A proxy does not take calls from pages of that origin. */
  origin_refused: 403,
  /** The page's `remote.consent` did not let the request leave the device. */
  consent_refused: 403,
  /** The page's own policy refuses the request. */
  policy_refused: 403,
  /** Nobody here serves that model. */
  model_not_found: 404,
  /** A path on an owned origin that we do not serve. */
  unknown_url: 404,
  /** The path is ours, the method is not. */
  method_not_allowed: 405,
  /** The body is larger than `limits.requestBytes`. */
  request_too_large: 413,
  /** The body is not JSON by its content type. */
  unsupported_media_type: 415,
  /** A proxy's rate limit for this client. */
  rate_limited: 429,
  /** More requests are waiting than `limits.waiting`. */
  queue_full: 429,
  /** `unload()` ended it. (Aborted by its own signal, `fetch` rejects with the signal's reason instead.) */
  aborted: 499,
  /** A defect in nearsight. */
  internal: 500,
  /** The worker died (out of memory, terminated). The next request starts a new one. */
  worker_crashed: 500,
  /** The GPU device was lost during the request. The next request opens a new one. */
  device_lost: 500,
  /** The GPU reported an error during the request, so its answer cannot be trusted. */
  gpu_error: 500,
  /** The remote could not be reached from this page, or had no answer. */
  remote_unavailable: 502,
  /** No device here can run the model. */
  unsupported_device: 503,
  /** The model's files could not be fetched or opened. Not remembered: the next request tries again. */
  load_failed: 503,
  /** A file's bytes do not match the spec's size or sha256. */
  integrity: 503,
  /** `dispose()` was called. */
  disposed: 503,
} as const;

/** A machine-readable reason; see {@link NearsightError}. */
export type ErrorCode = keyof typeof ERROR_STATUS;

/** What a {@link NearsightError} may say beyond its code and message. */
export interface ErrorDetail {
  /** The request field at fault, as a path: `messages[0].content[1].image_url`. */
  param?: string | undefined;
  /** What was thrown underneath. Kept on this side of the worker boundary only. */
  cause?: unknown;
}

/** An error as it crosses threads: plain data, because a class would arrive without its fields. */
export interface WireError {
  code: ErrorCode;
  message: string;
  param?: string | undefined;
  stack?: string | undefined;
}

/**
 * The one error class of nearsight. Recognise it by `name` and `code` (never by `instanceof` across bundles).
 *
 * The message says what happened, which limit or field decided, and what to do about it.
 */
export class NearsightError extends Error {
  override readonly name = 'NearsightError';
  readonly code: ErrorCode;
  readonly param: string | undefined;

  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.code = code;
    this.param = detail.param;
  }

  /** The HTTP status that `fetch` answers with. */
  get status(): number {
    return ERROR_STATUS[this.code];
  }
}

/** Anything thrown, as a {@link NearsightError}: itself, or `internal` with the original as its cause. */
export function asNearsightError(thrown: unknown, code: ErrorCode = 'internal'): NearsightError {
  if (thrown instanceof NearsightError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new NearsightError(code, message, { cause: thrown });
}

/** Packs an error for `postMessage`. */
export function toWire(thrown: unknown): WireError {
  const error = asNearsightError(thrown);
  const origin = error.cause instanceof Error ? error.cause : error;
  return { code: error.code, message: error.message, param: error.param, stack: origin.stack };
}

/** Rebuilds an error on this side; its stack tells where it happened on the other. */
export function fromWire(wire: WireError): NearsightError {
  const error = new NearsightError(wire.code, wire.message, { param: wire.param });
  if (wire.stack) error.stack = wire.stack;
  return error;
}
