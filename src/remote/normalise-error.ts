import { isObject } from '../openai/field-checks.ts';
import { errorKind } from '../openai/error-response.ts';
import type { ErrorBody } from '../openai/types.ts';

const CODES: Readonly<Record<number, string>> = {
  401: 'invalid_api_key',
  402: 'insufficient_quota',
  403: 'permission_denied',
  404: 'not_found',
  410: 'end_of_life',
  413: 'request_too_large',
  429: 'rate_limit_exceeded',
};

/**
 * Our envelope for an error in any format that NVIDIA's gateway, its workers, vLLM, FastAPI and proxies between them send.
 *
 * @param text the body
 */
export function normaliseError(status: number, statusText: string, text: string): ErrorBody {
  const body = parseJSON(text.replace(/^\s*data:\s*/, ''));
  const { error } = isObject(body) ? body : {};
  const inner = isObject(error) ? error : isObject(body) ? body : {};
  const message = sentence(error) || sentence(inner['detail']) || sentence(inner) || raw(body, text) || statusText;
  const { type, param, code } = inner;
  return {
    error: {
      message: message || `The remote answered with status ${status}.`,
      type: typeof type === 'string' && /^[a-z_]+_error$/.test(type) ? type : errorKind(status),
      param: typeof param === 'string' ? param : null,
      code: typeof code === 'string' ? code : (CODES[status] ?? 'remote_error'),
    },
  };
}

/** Maximum bytes that are read of an error. */
const MAX_ERROR_BYTES = 256 * 1024;

/** How long to wait for them, because a failing server may never end its answer. */
const MAX_ERROR_MS = 10_000;

/** The text of an error response: at most 256 KiB, for at most ten seconds, or until the connection breaks. */
export async function readErrorText({ body }: Response): Promise<string> {
  const reader = body?.getReader();
  const decoder = new TextDecoder();
  const cancel = (): void => void reader?.cancel().catch(() => {});
  const timer = setTimeout(cancel, MAX_ERROR_MS);
  let text = '';
  try {
    for (let left = MAX_ERROR_BYTES; left > 0;) {
      const next = await reader?.read();
      if (!next || next.done) break;
      text += decoder.decode(next.value.subarray(0, left), { stream: true });
      left -= next.value.length;
    }
  } catch {
    // The text so far is used.
  }
  clearTimeout(timer);
  cancel();
  return text;
}

/** A text as JSON; undefined if it is not. */
export function parseJSON(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** The readable part of a value: itself, its message, its title, or FastAPI's list of locations and messages. */
function sentence(value: unknown): string {
  if (typeof value === 'string') return value.trim();
  if (Array.isArray(value)) return value.map(detailOf).filter(Boolean).join('; ');
  if (!isObject(value)) return '';
  return sentence(value['message']) || sentence(value['title']);
}

function detailOf(value: unknown): string {
  if (!isObject(value)) return sentence(value);
  const place = Array.isArray(value['loc']) ? value['loc'].join('.') : '';
  return [place, sentence(value['msg'])].filter(Boolean).join(': ');
}

/** The text of a body that is not JSON: plain text, or a proxy's HTML page. */
function raw(body: unknown, text: string): string {
  if (body !== undefined) return '';
  // Neither expression backtracks, so that unclosed tags cost linear time.
  const plain = text.replace(/<(style|script|head)\b[\s\S]*?(<\/\1>|$)/gi, ' ').replace(/<[^<>]*>/g, ' ');
  return plain.replace(/\s+/g, ' ').trim().slice(0, 500);
}
