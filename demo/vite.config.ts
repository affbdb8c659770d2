import { defineConfig, type Plugin } from 'vite';

// Where the page may get anything from: its own origin, and the pictures that its visitor gave it.
const POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  "connect-src 'self' blob:",
  "img-src 'self' blob:",
  "style-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

/** The policy in the page itself, for hosts that send no headers. */
const policyInPage: Plugin = {
  name: 'policy-in-page',
  transformIndexHtml: () => [
    { tag: 'meta', injectTo: 'head-prepend', attrs: { 'http-equiv': 'Content-Security-Policy', content: POLICY } },
  ],
};

export default defineConfig({
  root: import.meta.dirname,
  base: './',
  plugins: [policyInPage],
  worker: { format: 'es', rolldownOptions: { checks: { bundlerTimings: false } } },
  // Nothing inlined: the policy knows no `data:`.
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    emptyOutDir: true,
    rolldownOptions: { checks: { bundlerTimings: false } },
  },
  preview: {
    headers: {
      'content-security-policy': `${POLICY}; frame-ancestors 'none'`,
      // Cross-origin isolation, which wasm needs to run on more than one thread.
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
      'cross-origin-resource-policy': 'same-origin',
    },
  },
});
