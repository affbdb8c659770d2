/** nearsight through its public API: a streamed chat completion, with minimal parsing. */
import { createNearsight } from 'nearsight';
import { SAMPLING } from './sampling.mjs';

/** @typedef {import('./page/side.ts').Answer} Answer */
/** @typedef {import('./page/side.ts').Opening} Opening */
/** @typedef {import('./page/side.ts').Turn} Turn */

const NIM = 'https://integrate.api.nvidia.com/v1/chat/completions';

const now = () => performance.timeOrigin + performance.now();

/**
 * @param {Opening} opening
 * @param {(number: number) => Promise<{ dataUrl: string }>} image
 * @param {() => import('../tools/counters.mjs').CountedWorker} worker called after the worker has started
 * @param {string} [ort] folder of onnxruntime's files, if not the package's own
 * @returns {Promise<import('./page/side.ts').Side>}
 */
export async function openOurs({ model, device, dtype }, image, worker, ort) {
  const variants = model.spec.variants.filter((variant) => variant.dtype === dtype);
  const nearsight = createNearsight({ model: { ...model.spec, variants }, device, ...(ort && { assets: { ort } }) });
  /** @type {number[]} */
  const steps = [];
  const facts = await nearsight.load({
    onProgress(status) {
      if (status.state === 'preparing' && status.done === steps.length + 1) steps.push(now());
    },
  });
  const bias = Object.fromEntries(model.endTokens.map((id) => [id, -100]));

  /** @param {Turn} turn */
  async function message({ role, text, image: number, detail = 'low' }) {
    if (number === undefined) return { role, content: text };
    const url = (await image(number)).dataUrl;
    const part = { type: 'image_url', image_url: { url, detail } };
    return { role, content: [part, { type: 'text', text }] };
  }

  return {
    facts: {
      build: device === 'wasm' ? 'plain' : 'userAgentData' in navigator ? 'jspi' : 'asyncify',
      threads: device === 'wasm' ? Number.parseInt(facts.hardware, 10) : 1,
      device: facts.device,
      dtype: facts.dtype,
      hardware: facts.hardware,
      reason: facts.reason,
      steps,
    },
    worker: worker(),
    unload: () => nearsight.unload(),
    async ask({ turns, tokens, sampled = false, fields = {} }) {
      const messages = await Promise.all(turns.map(message));
      const askedAt = now();
      const response = await nearsight.fetch(NIM, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          model: model.spec.id,
          messages,
          ...(tokens > 0 && { max_tokens: tokens, logit_bias: bias }),
          stream: true,
          stream_options: { include_usage: true },
          ...(sampled && { ...SAMPLING, seed: 7 }),
          ...fields,
        }),
      });
      if (!response.ok || !response.body) throw new Error(await response.text());
      return read(response.body, askedAt, tokens);
    },
  };
}

/**
 * @param {ReadableStream<Uint8Array<ArrayBuffer>>} body
 * @param {number} askedAt
 * @param {number} tokens
 * @returns {Promise<Answer>}
 */
async function read(body, askedAt, tokens) {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let events = '';
  /** @type {number | undefined} */
  let firstMs;
  let totalMs = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const piece = decoder.decode(value, { stream: true });
    events += piece;
    // The first event with text; the one before it has only the role.
    if (firstMs === undefined && /"content":"[^"]/.test(events)) firstMs = now() - askedAt;
    if (!piece.startsWith('data: [DONE]')) totalMs = now() - askedAt;
  }
  const chunks = events
    .split('\n\n')
    .filter((event) => event.startsWith('data: {'))
    .map((event) => JSON.parse(event.slice('data: '.length)));
  const { usage } = chunks.find((chunk) => chunk.usage) ?? {};
  const { completion_tokens: generated } = usage ?? {};
  if (tokens > 0 && generated !== tokens) throw new Error(`asked for ${tokens} tokens: ${events.slice(-2000)}`);
  const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');
  const promptTokens = usage.prompt_tokens;
  const cachedTokens = usage.prompt_tokens_details?.cached_tokens;
  return { askedAt, firstMs: firstMs ?? totalMs, totalMs, promptTokens, cachedTokens, tokens: generated, text };
}
