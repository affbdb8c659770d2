// Cloudflare Workers and similar: `npx wrangler dev docs/examples/worker.mjs`, with the secrets NVIDIA_API_KEY
// and SESSION_SECRET. Deno and Bun take the proxy as it is: `Deno.serve(proxy)`, `Bun.serve({ fetch: proxy })`.
import { createNimProxy } from 'nearsight/proxy';

/**
 * Whether a cookie `session=NAME.SIGNATURE` was signed by your login: HMAC-SHA-256 of the name, in hexadecimal.
 *
 * @param {Request} request
 * @param {string} secret
 */
async function isSigned(request, secret) {
  const [, name, signature] =
    /(?:^|; )session=([\w-]+)\.([0-9a-f]{64})/.exec(request.headers.get('cookie') ?? '') ?? [];
  if (!name || !signature) return false;
  const encoder = new TextEncoder();
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  const key = await crypto.subtle.importKey('raw', encoder.encode(secret), algorithm, false, ['verify']);
  const bytes = Uint8Array.from(signature.match(/../g) ?? [], (hex) => parseInt(hex, 16));
  return crypto.subtle.verify('HMAC', key, bytes, encoder.encode(name));
}

export default {
  /**
   * @param {Request} request
   * @param {{ NVIDIA_API_KEY: string, SESSION_SECRET: string, NIM_URL?: string }} env
   */
  fetch(request, env) {
    const proxy = createNimProxy({
      apiKey: env.NVIDIA_API_KEY,
      authorize: (caller) => isSigned(caller, env.SESSION_SECRET),
      models: ['meta/llama-3.2-11b-vision-instruct'],
      origins: ['https://app.example'],
      ...(env.NIM_URL && { upstream: { chat: env.NIM_URL, vlm: env.NIM_URL } }),
    });
    return proxy(request);
  },
};
