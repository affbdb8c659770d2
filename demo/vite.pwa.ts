import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import type { Plugin, PluginOption } from 'vite';
import { VitePWA } from 'vite-plugin-pwa';

const DESCRIPTION = 'Ask a question about an image. The answer is computed in this browser; nothing is sent anywhere.';

/** The side lengths of the icons that the manifest and iOS name, in pixels. */
const ICONS = [180, 192, 512];

/** Draws the PNG icons from icon.svg, and links the one that iOS reads. */
const icons: Plugin = {
  name: 'icons',
  apply: 'build',
  async generateBundle() {
    // Without rounded corners: systems cut icons to their own shape, and the eye is within the part that all of them keep.
    const svg = (await readFile(join(import.meta.dirname, 'icon.svg'), 'utf8')).replace(' rx="8"', '');
    for (const side of ICONS) {
      const source = await sharp(Buffer.from(svg), { density: (72 * side) / 32 })
        .resize(side)
        .png()
        .toBuffer();
      this.emitFile({ type: 'asset', fileName: `icon-${side}.png`, source });
    }
  },
  transformIndexHtml: () => [
    { tag: 'link', injectTo: 'head', attrs: { rel: 'apple-touch-icon', href: './icon-180.png' } },
  ],
};

/**
 * Makes the page installable, and usable without a network.
 *
 * The shell is stored when the page is first opened. onnxruntime's builds (14 to 27 MB, of which a device uses one) and
 * glimpse's files are stored when they are first used. Their names have hashes, so a stored one never goes stale. Other
 * models are not the service worker's: `nearsight/storage` keeps them, whatever version of the page is active.
 *
 * A new version of the page waits until the last tab with the old one is closed: the old one may still have to load some
 * of its own files, which the server no longer has.
 */
export function offline(): PluginOption[] {
  return [
    icons,
    ...VitePWA({
      registerType: 'prompt',
      // offline.ts registers it.
      injectRegister: false,
      manifest: {
        name: 'nearsight: ask about an image',
        short_name: 'nearsight',
        description: DESCRIPTION,
        lang: 'en',
        display: 'standalone',
        background_color: '#f6f5f2',
        theme_color: '#f6f5f2',
        icons: [192, 512].flatMap((side) =>
          (['any', 'maskable'] as const).map((purpose) => ({
            src: `icon-${side}.png`,
            sizes: `${side}x${side}`,
            type: 'image/png',
            purpose,
          })),
        ),
      },
      workbox: {
        globPatterns: ['**/*.{html,js,css,svg,png}'],
        // The stored page is the same whatever its parameters.
        navigateFallback: 'index.html',
        navigateFallbackDenylist: [/\/nim\//],
        clientsClaim: true,
        mode: 'production',
        inlineWorkboxRuntime: true,
        runtimeCaching: [
          {
            urlPattern: ({ url, sameOrigin }) =>
              sameOrigin && /\/assets\/[^/]+\.(mjs|wasm|onnx|json)$/.test(url.pathname),
            handler: 'CacheFirst',
            options: {
              cacheName: 'used',
              // The server sends `Vary: Origin`, but the bytes are the same for a script that is imported and for a thread.
              matchOptions: { ignoreVary: true },
              cacheableResponse: { statuses: [200] },
              plugins: [
                {
                  // Some servers answer with an HTML page and 200 for a file that they lack: it must not be kept.
                  cacheWillUpdate: async ({ response }) =>
                    /^text\/html\b/i.test(response.headers.get('content-type') ?? '') ? null : response,
                },
              ],
              // A load uses 13 files. Older ones are those of earlier versions.
              expiration: { maxEntries: 40 },
            },
          },
        ],
      },
    }),
  ];
}
