/** How the page treats an error. */
export interface ErrorTraits {
  /** The HTTP status that `fetch` answers with. */
  status: number;
  /** Whether the same request may succeed when it is sent again (`x-should-retry`). Default: false. */
  retry?: true;
  /** False: the request itself is at fault, or the page decided, so the other side is not tried. Default: true. */
  reroute?: false;
  /** Whether the worker must be replaced: its memory or the GPU's cannot be trusted any more. Default: false. */
  fatal?: true;
}

/** Everything that can go wrong, by name. The set is closed: callers switch on `code`, never on the message. */
const TABLE = {
  /** The request is malformed, or a value is out of range. */
  invalid_request: { status: 400, reroute: false },
  /** A documented field that this endpoint cannot honour: refused rather than ignored. */
  unsupported_field: { status: 400 },
  /** A schema, regular expression or grammar for the answer that cannot be enforced as a whole. */
  unsupported_schema: { status: 400 },
  /** The constraints on the answer allow no next token. */
  constraint_unsatisfiable: { status: 400 },
  /** An image that cannot be read: not an image, truncated, too large, blocked by CORS, not found. */
  unreadable_image: { status: 400 },
  /** Prompt and `max_tokens` do not fit in the model's context, or in the memory that this device has for it. */
  context_length_exceeded: { status: 400 },
  /** A proxy's `authorize` did not let the caller in. */
  unauthorized: { status: 401 },
  /** A proxy does not take calls from pages of that origin. */
  origin_refused: { status: 403 },
  /** The page's `remote.consent` did not let the request leave the device. */
  consent_refused: { status: 403, reroute: false },
  /** The page's own policy refuses the request. */
  policy_refused: { status: 403, reroute: false },
  /** No model of that name is served here. */
  model_not_found: { status: 404 },
  /** A path on an intercepted origin that is not served. */
  unknown_url: { status: 404 },
  /** The path is served, but not with this method. */
  method_not_allowed: { status: 405 },
  /** The body is larger than `limits.requestBytes`. */
  request_too_large: { status: 413, reroute: false },
  /** The body is not JSON by its content type, or it is compressed. */
  unsupported_media_type: { status: 415, reroute: false },
  /** A proxy's rate limit for this client. */
  rate_limited: { status: 429, retry: true },
  /** More requests are waiting than `limits.waiting`. */
  queue_full: { status: 429, retry: true },
  /** `unload()` ended it. (Aborted by its own signal, `fetch` rejects with the signal's reason instead.) */
  aborted: { status: 499, reroute: false },
  /** A defect in nearsight. */
  internal: { status: 500 },
  /** The worker died (out of memory, terminated, a crash of ONNX Runtime). The next request starts a new one. */
  worker_crashed: { status: 500, retry: true, fatal: true },
  /** The GPU device was lost during the request. The next request opens a new one. */
  device_lost: { status: 500, retry: true, fatal: true },
  /** The GPU reported an error during the request, so its answer cannot be trusted. */
  gpu_error: { status: 500, retry: true, fatal: true },
  /** The remote could not be reached from this page, or did not answer. */
  remote_unavailable: { status: 502, retry: true },
  /** No device here can run the model. */
  unsupported_device: { status: 503 },
  /** The model's files could not be fetched or opened. Not remembered: the next request tries again. */
  load_failed: { status: 503, retry: true },
  /** A file's bytes do not match the spec's size or sha256. */
  integrity: { status: 503 },
  /** The browser gives this origin too little space for the model's files. */
  quota_exceeded: { status: 507 },
  /** This browser, or this page, cannot store models. */
  storage_unavailable: { status: 503 },
  /** `dispose()` was called. */
  disposed: { status: 503, reroute: false },
} satisfies Record<string, ErrorTraits>;

/** A machine-readable reason; see {@link NearsightError}. */
export type ErrorCode = keyof typeof TABLE;

/** The error table, every row with the same type. */
export const ERRORS: Readonly<Record<ErrorCode, ErrorTraits>> = TABLE;

/** What a {@link NearsightError} may say beyond its code and message. */
export interface ErrorDetail {
  /** The request field at fault, as a path: `messages[0].content[1].image_url`. */
  param?: string | undefined;
  /** What was thrown underneath. Kept on this side of the worker boundary only. */
  cause?: unknown;
}

/** An error as it crosses threads: plain data, because a class would arrive without its fields. */
export interface ErrorData {
  code: ErrorCode;
  message: string;
  param?: string | undefined;
  stack?: string | undefined;
}

/**
 * The one error class of nearsight. Recognise it with {@link isNearsightError}, never by `instanceof`.
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
    return ERRORS[this.code].status;
  }
}

/**
 * Whether a thrown value is a {@link NearsightError}, by its name and code: `instanceof` fails for the class of another
 * bundle, frame or copy of the package.
 */
export function isNearsightError(thrown: unknown): thrown is NearsightError {
  const { name, code }: { name?: unknown; code?: unknown } = Object(thrown);
  return name === 'NearsightError' && Object.hasOwn(ERRORS, String(code));
}

/** A thrown value as a {@link NearsightError}: itself, or `internal` with the value as its cause. */
export function asNearsightError(thrown: unknown): NearsightError {
  if (isNearsightError(thrown)) return thrown;
  const message = thrown instanceof Error ? thrown.message : textOf(thrown);
  return new NearsightError('internal', message, { cause: thrown });
}

/** A thrown value as text. Anything can be thrown, also what has no text: `Object.create(null)`. */
export function textOf(thrown: unknown): string {
  try {
    return String(thrown);
  } catch {
    return 'something without a text was thrown';
  }
}

/** Packs an error for `postMessage`. */
export function packError(thrown: unknown): ErrorData {
  const error = asNearsightError(thrown);
  const origin = error.cause instanceof Error ? error.cause : error;
  return { code: error.code, message: error.message, param: error.param, stack: origin.stack };
}

/** Rebuilds an error from `postMessage`, with the stack of the other thread. */
export function unpackError(data: ErrorData): NearsightError {
  const error = new NearsightError(data.code, data.message, { param: data.param });
  if (data.stack) error.stack = data.stack;
  return error;
}
