import { createNimProxy, toNodeHandler } from 'nearsight/proxy';
import { defineConfig, type Plugin } from 'vite';
import { offline } from './vite.pwa.ts';

// The page may load from its own origin, the images that its visitor chose, and models from Hugging Face's hub, which
// redirects to servers of its own in several regions.
const POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  "connect-src 'self' blob: https://huggingface.co https://*.hf.co",
  "img-src 'self' blob:",
  "style-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

/** Also puts the policy into the page, for hosts that send no headers. */
const policyInPage: Plugin = {
  name: 'policy-in-page',
  transformIndexHtml: () => [
    { tag: 'meta', injectTo: 'head-prepend', attrs: { 'http-equiv': 'Content-Security-Policy', content: POLICY } },
  ],
};

const NIM_MODEL = 'meta/llama-3.2-11b-vision-instruct';
const key = process.env['NVIDIA_API_KEY'];

/** If the environment has an API key, this server forwards to NVIDIA what the device cannot answer. */
function nim(apiKey: string): Plugin {
  // Safe without authorization: by default Vite listens on this machine only.
  const handler = toNodeHandler(createNimProxy({ apiKey, authorize: () => true, models: [NIM_MODEL] }));
  return {
    name: 'nim',
    configureServer: ({ middlewares }) => void middlewares.use('/nim', handler),
    configurePreviewServer: ({ middlewares }) => void middlewares.use('/nim', handler),
  };
}

export default defineConfig({
  root: import.meta.dirname,
  base: './',
  plugins: [policyInPage, offline(), ...(key ? [nim(key)] : [])],
  define: { 'import.meta.env.VITE_NIM_MODEL': JSON.stringify(key ? NIM_MODEL : '') },
  worker: { format: 'es', rolldownOptions: { checks: { bundlerTimings: false } } },
  // Inline nothing, because the policy does not allow `data:`.
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    emptyOutDir: true,
    rolldownOptions: { checks: { bundlerTimings: false } },
  },
  preview: {
    // Not the port that all other sites share: this page's service worker would answer for them.
    port: 47_112,
    headers: {
      'content-security-policy': `${POLICY}; frame-ancestors 'none'`,
      // Cross-origin isolation, which wasm needs to run on more than one thread.
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
      'cross-origin-resource-policy': 'same-origin',
    },
  },
});
