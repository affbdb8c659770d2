import { retryAfterOf, RetryableFailure } from '../../src/async/retry.ts';
import { NearsightError } from '../../src/protocol/errors.ts';

/**
 * The error for an answer that is not what was asked for; retryable where the same request may succeed later.
 *
 * @param hint what the status means; default: what the server says, which over HTTP/2 is nothing
 */
export function refusal(
  url: string,
  { status, statusText, headers }: Response,
  hint = statusText,
): NearsightError | RetryableFailure {
  const error = new NearsightError('load_failed', `Could not fetch ${url}: HTTP ${status}${hint && `. ${hint}`}.`);
  return status === 408 || status === 429 || status >= 500 ? new RetryableFailure(error, retryAfterOf(headers)) : error;
}
