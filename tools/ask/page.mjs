/**
 * The page's events in order: `status` any number of times, `head`, `text` any number of times, `end`; or `failed` at any
 * point.
 *
 * @typedef {{ type: 'status', status: Progress }
 *   | { type: 'head', ok: boolean, origin: string, model: string, device: string, firstTokenMs: number }
 *   | { type: 'text', text: string }
 *   | { type: 'end', lastTokenMs: number }
 *   | { type: 'failed', message: string }} PageEvent
 *
 * @typedef {{ state: string, loadedBytes?: number, totalBytes?: number, done?: number, of?: number }} Progress
 *
 * @typedef {object} Task
 * @property {unknown} model an id, a spec or a repository on the hub
 * @property {string | undefined} baseURL where the files of a known id are instead of on the hub
 * @property {'auto' | 'webgpu' | 'wasm'} device
 * @property {string} question
 * @property {number | undefined} maxTokens
 * @property {string} site the origin that serves the package and the image
 */

/** The page. Its server has the built package at the root; the driver adds the global `report`. */
export const html = '<!doctype html><meta charset="utf-8"><title>nearsight ask</title><link rel="icon" href="data:,">';

/**
 * Runs in the page: asks, and reports each event. Times are taken here, so that messages between processes do not add to
 * them.
 *
 * @param {Task} task
 * @returns {Promise<void>} resolves at once; the event `end` reports the end
 */
export async function askInPage({ model, baseURL, device, question, maxTokens, site }) {
  /** @type {{ report: (event: PageEvent) => Promise<void> }} */
  const { report } = Object(globalThis);

  const run = async () => {
    // By URL, because the page has no bundler.
    const { createNearsight, smolvlm256m } = await import(`${site}/index.js`);
    const specs = { glimpse: (await import(`${site}/glimpse.js`)).glimpse, 'smolvlm-256m': smolvlm256m };
    const known = typeof model === 'string' ? Object(specs)[model] : model;
    const spec = baseURL ? { ...known, baseURL } : known;
    const nearsight = createNearsight({ model: spec, device });
    nearsight.status.subscribe((/** @type {Progress} */ status) => void report({ type: 'status', status }));
    const facts = await nearsight.load();
    const content = [
      { type: 'image_url', image_url: { url: `${site}/image` } },
      { type: 'text', text: question },
    ];
    const start = performance.now();
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
    await report({
      type: 'head',
      ok: response.ok,
      origin: response.headers.get('x-nearsight-origin'),
      model: response.headers.get('x-nearsight-model'),
      device: facts.device,
      firstTokenMs: performance.now() - start,
    });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      await report({ type: 'text', text: value });
    }
    await report({ type: 'end', lastTokenMs: performance.now() - start });
  };

  void run().catch((error) =>
    report({ type: 'failed', message: error instanceof Error ? error.message : String(error) }),
  );
}
