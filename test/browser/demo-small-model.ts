import { createReadStream, statSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { Plugin } from 'vite';

/** The demo's module that lists the models, with glimpse's files as a model that is downloaded into the store. */
const CATALOGUE = `
  import { glimpse } from 'nearsight/glimpse';
  const plain = ({ path, bytes, sha256 }) => ({ path, bytes, sha256 });
  const graphs = (all) =>
    Object.fromEntries(Object.entries(all).map(([name, { file }]) => [name, { file: plain(file), data: [] }]));
  const { assets, ...rest } = glimpse;
  const licence = { name: 'Licence of the test', url: 'https://example.test/licence', restricted: true, restriction: 'Only for tests' };
  const real = {
    ...rest,
    id: 'smolvlm-256m',
    baseURL: '/model/',
    files: glimpse.files.map(plain),
    variants: glimpse.variants.map((variant) => ({ ...variant, graphs: graphs(variant.graphs) })),
  };
  const goodAt = 'Describes photographs and answers questions about them';
  export const knownModels = [
    { name: 'SmolVLM-256M', model: real, goodAt, licence: real.licence, bytes: { f16: 3e6, other: 3e6 } },
    { name: 'Restricted', model: { hub: 'org/restricted' }, goodAt, licence, bytes: { f16: 7e8, other: 7e8 } },
  ];
`;

/** A model of 3 MB in place of the demo's real ones, from the demo's own server. */
export class SmallModel {
  /** How fast each connection is. */
  bytesPerSecond = Infinity;
  /** Bytes of the model's files that were sent. */
  sent = 0;
  /** When so many were sent, what is left would take half an hour: a download that no test is too slow for. */
  crawlsAfter = Infinity;
  /** Whether its files are answered with 404. */
  gone = false;

  readonly plugin: Plugin = {
    name: 'small-model',
    load: (id) => (id.endsWith('/demo/catalogue.ts') ? CATALOGUE : null),
    configurePreviewServer: ({ middlewares }) => {
      middlewares.use('/model', (request, response) => {
        const path = new URL(request.url ?? '', 'http://host').pathname;
        const file = join('models/glimpse', path);
        const size = this.gone ? undefined : statSync(file, { throwIfNoEntry: false })?.size;
        if (size === undefined) return void response.writeHead(404).end();
        const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
        const [start, end] = from ? [Number(from), to ? Math.min(Number(to), size - 1) : size - 1] : [0, size - 1];
        response.writeHead(from ? 206 : 200, {
          'content-type': 'application/octet-stream',
          'content-length': end - start + 1,
          'accept-ranges': 'bytes',
          'cache-control': 'no-store',
          etag: '"1"',
          'cross-origin-resource-policy': 'same-origin',
          ...(from && { 'content-range': `bytes ${start}-${end}/${size}` }),
        });
        const chunks = this.#pace(createReadStream(file, { start, end, highWaterMark: 1024 }));
        Readable.from(chunks)
          .on('error', () => response.destroy())
          .pipe(response);
        response.on('close', () => response.destroy());
      });
    },
  };

  async *#pace(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of stream) {
      // A connection from which nothing comes for 15 s is replaced.
      const bytesPerSecond = this.sent < this.crawlsAfter ? this.bytesPerSecond : 200;
      if (bytesPerSecond < Infinity) await delay((chunk.length / bytesPerSecond) * 1000);
      this.sent += chunk.length;
      yield chunk;
    }
  }
}
