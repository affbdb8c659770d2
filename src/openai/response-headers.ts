/**
 * Headers that say who answered, and the request's id for SDKs and bug reports. Sent with every response.
 *
 * @param reason why it was answered here, or not at all, as a code
 * @param model the model that answered, by its own name; empty if none did
 */
export function originHeaders(reason: string, model = '', requestId = randomId()): Record<string, string> {
  return {
    'x-request-id': requestId,
    'x-nearsight-origin': 'local',
    'x-nearsight-reason': reason,
    ...(model && { 'x-nearsight-model': headerText(model) }),
  };
}

/** A model's name in the characters that a header may have: a request may name any model. */
export function headerText(name: string): string {
  return name.slice(0, 200).replace(/[^ -~]+/g, '?');
}

/** 128 random bits in hexadecimal. (`crypto.randomUUID` is missing on pages without TLS.) */
export function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
