// Vite's dev and preview servers: `NVIDIA_API_KEY=nvapi-… npx vite --config docs/examples/vite.config.mjs`.
import { env } from 'node:process';
import { createNimProxy, toNodeHandler } from 'nearsight/proxy';

const handler = toNodeHandler(
  createNimProxy({
    // Read at each request, because `vite build` loads this file too and needs no key.
    apiKey: () => env.NVIDIA_API_KEY ?? '',
    // For your own machine only: by default Vite listens on localhost.
    authorize: () => true,
    models: ['meta/llama-3.2-11b-vision-instruct'],
    ...(env.NIM_URL && { upstream: { chat: env.NIM_URL, vlm: env.NIM_URL } }),
  }),
);

/** @type {import('vite').Plugin} */
const nim = {
  name: 'nim',
  configureServer: ({ middlewares }) => void middlewares.use('/nim', handler),
  configurePreviewServer: ({ middlewares }) => void middlewares.use('/nim', handler),
};

export default { plugins: [nim] };
