/**
 * What the page tells, in order: `status` any number of times, `head`, `text` any number of times, `end`; or `failed`
 * at any point.
 *
 * @typedef {{ type: 'status', status: Progress }
 *   | { type: 'head', ok: boolean, origin: string, model: string, device: string, firstTokenMs: number }
 *   | { type: 'text', text: string }
 *   | { type: 'end', lastTokenMs: number }
 *   | { type: 'failed', message: string }} Told
 *
 * @typedef {{ state: string, loadedBytes?: number, totalBytes?: number, done?: number, of?: number }} Progress
 *
 * @typedef {object} Task
 * @property {unknown} model an id or a spec
 * @property {'auto' | 'webgpu' | 'wasm'} device
 * @property {string} question
 * @property {number | undefined} maxTokens
 * @property {string} site the origin that serves the package and the image
 */

/** The page: it has a global `tell`, and the built package at its root. */
export const html = '<!doctype html><meta charset="utf-8"><title>nearsight ask</title><link rel="icon" href="data:,">';

/**
 * Runs in the page: asks, and tells what happens. The answer's bytes are passed on as they come; timing is taken here,
 * where no message between processes adds to it.
 *
 * @param {Task} task
 * @returns {Promise<void>} at once; the end is told
 */
export async function askInPage({ model, device, question, maxTokens, site }) {
  /** @type {{ tell: (told: Told) => Promise<void> }} */
  const { tell } = Object(globalThis);

  const run = async () => {
    // By URL, because a page without a bundler has no other names.
    const { createNearsight } = await import(`${site}/index.js`);
    const wanted = model === 'glimpse' ? (await import(`${site}/glimpse.js`)).glimpse : model;
    const nearsight = createNearsight({ model: wanted, device });
    nearsight.status.subscribe((/** @type {Progress} */ status) => void tell({ type: 'status', status }));
    const facts = await nearsight.load();
    const content = [
      { type: 'image_url', image_url: { url: `${site}/image` } },
      { type: 'text', text: question },
    ];
    const asked = performance.now();
    const response = await nearsight.fetch('https://integrate.api.nvidia.com/v1/chat/completions', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        model: facts.model,
        messages: [{ role: 'user', content }],
        max_tokens: maxTokens,
        stream: true,
        stream_options: { include_usage: true },
      }),
    });
    await tell({
      type: 'head',
      ok: response.ok,
      origin: response.headers.get('x-nearsight-origin'),
      model: response.headers.get('x-nearsight-model'),
      device: facts.device,
      firstTokenMs: performance.now() - asked,
    });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      await tell({ type: 'text', text: value });
    }
    await tell({ type: 'end', lastTokenMs: performance.now() - asked });
  };

  void run().catch((error) =>
    tell({ type: 'failed', message: error instanceof Error ? error.message : String(error) }),
  );
}
