// Places other than an ordinary page that import the package: workers, frames, extensions.
import { readFileSync } from 'node:fs';
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'puppeteer-core';
import { serve, type Server } from '../../../tools/serve.mjs';
import { cases } from '../../fixtures/glimpse/golden.json';

const corner = cases.find(({ name }) => name === 'corner')!;

/** What {@link tryAll} does in each context: a question of glimpse's golden file. */
export const trial = {
  image: `data:image/gif;base64,${readFileSync('test/fixtures/glimpse/corner.gif', 'base64')}`,
  question: 'Where is the star?',
  options: {} as object,
};

/** What came of it: an error is `name`, a blank and its code. */
export interface Outcome {
  verdict: string;
  reason: string;
  load: string;
  ask: string;
  fetch: string;
}

/** The outcome where nearsight runs. */
export const works: Outcome = {
  verdict: 'yes',
  reason: 'wasm on the CPU, because wasm was asked for',
  load: 'wasm',
  ask: corner.answer.text,
  fetch: `200 ${corner.answer.text}`,
};

/** The outcome where it does not, for this reason. */
export function refused(reason: unknown): Record<keyof Outcome, unknown> {
  const code = 'unsupported_device';
  return { verdict: 'no', reason, load: `NearsightError ${code}`, ask: `NearsightError ${code}`, fetch: `503 ${code}` };
}

const tryAll = `
import { createNearsight } from './index.js';
import { glimpse } from './glimpse.js';

export async function tryAll({ image, question, options }) {
  const all = { model: glimpse, device: 'wasm', ...options };
  const code = (error) => error.name + ' ' + error.code;
  const first = createNearsight(all);
  const { verdict, reason } = await first.probe().catch((error) => ({ verdict: code(error), reason: error.message }));
  first.dispose();
  const near = createNearsight(all);
  const load = await near.load().then(({ device }) => device, code);
  let ask = '';
  try {
    for await (const text of near.ask(image, question)) ask += text;
  } catch (error) {
    ask = code(error);
  }
  const content = [{ type: 'image_url', image_url: { url: new URL(image, location.href).href } }, { type: 'text', text: question }];
  const body = JSON.stringify({ model: 'glimpse', messages: [{ role: 'user', content }] });
  const response = await near.fetch('https://integrate.api.nvidia.com/v1/chat/completions', { method: 'POST', body });
  const { choices, error } = await response.json();
  near.dispose();
  return { verdict, reason, load, ask, fetch: response.status + ' ' + (error?.code ?? choices[0].message.content) };
}
`;

/** Answers messages with a port, in any kind of worker and in frames. */
const listener = `
import { tryAll } from './try-all.js';

const onMessage = async ({ data, ports: [port] }) => {
  if (port) port.postMessage(data === 'ping' || (await tryAll(data).catch((error) => ({ verdict: String(error) }))));
};
addEventListener('message', onMessage);
// A SharedWorker's.
addEventListener('connect', ({ ports: [port] }) => (port.onmessage = onMessage));
`;

const FILES: Record<string, string> = {
  'try-all.js': tryAll,
  'listener.js': listener,
  'context.html': '<!doctype html><script type="module" src="listener.js"></script>',
};

/** The package, and a page that tries it. */
export class ContextServer implements AsyncDisposable {
  /** The paths of all requests, in order. */
  readonly requests: string[] = [];
  /** What an extension has reported, by `page` and `background`. */
  readonly reports: Record<string, Outcome> = {};
  #server!: Server;

  get origin(): string {
    return this.#server.origin;
  }

  /** @param headers of every file */
  static async start(headers: Record<string, string> = {}): Promise<ContextServer> {
    const server = new ContextServer();
    const all = { 'access-control-allow-origin': '*', ...headers };
    const { requests, reports } = server;
    server.#server = await serve('dist', {
      headers: all,
      answer: async (request) => {
        const { pathname, search } = new URL(request.url);
        requests.push(pathname);
        if (request.method === 'POST') reports[search.slice(1)] = (await request.json()) as Outcome;
        const type = pathname.endsWith('.html') ? 'text/html' : 'text/javascript';
        const text = FILES[pathname.slice(1)];
        return text === undefined ? undefined : new Response(text, { headers: { 'content-type': type, ...all } });
      },
    });
    return server;
  }

  /** What was downloaded of onnxruntime and of the model. */
  get downloads(): string[] {
    return this.requests.filter((path) => /^\/(ort|glimpse)\//.test(path));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.close();
  }
}

/** Where a page can run code. */
export type Place =
  | 'page'
  | 'dedicated worker'
  | 'worker from a blob: URL'
  | 'SharedWorker'
  | 'service worker'
  | 'frame'
  | 'cross-site frame'
  | 'sandboxed frame';

/**
 * Opens a page of the server and tries nearsight in a place there. Once more where Firefox blocks the worker that is to
 * start nearsight's: docs/browsers.md.
 */
export async function tryIn(place: Place, page: Page, origin: string, options: object = {}): Promise<Outcome> {
  for (let attempt = 0; attempt < 4; attempt++) {
    await page.goto(`${origin}/context.html`);
    const outcome = await page.evaluate(sendTrial, place, { ...trial, options });
    if (outcome !== 'blocked') return outcome;
  }
  throw new Error(`Each ${place} is blocked`);
}

/** Runs in the page. Resolves to `blocked` where the place's thread answers nothing at all. */
async function sendTrial(place: Place, data: typeof trial): Promise<Outcome | 'blocked'> {
  type Target = Pick<Worker, 'postMessage'>;
  const type = 'module';
  const { origin } = location;
  const inWorker = (url: string): Target => new Worker(url, { type });
  const inFrame = async (origin: string, sandbox?: string): Promise<Target> => {
    const frame = document.createElement('iframe');
    if (sandbox !== undefined) frame.setAttribute('sandbox', sandbox);
    frame.src = `${origin}/context.html`;
    document.body.append(frame);
    await new Promise((resolve) => (frame.onload = resolve));
    const { contentWindow } = frame;
    return {
      postMessage: (message: unknown, ports) => contentWindow!.postMessage(message, '*', ports as Transferable[]),
    };
  };
  const targets: Record<Place, () => Target | Promise<Target>> = {
    page: () => ({ postMessage: (message: unknown, ports) => postMessage(message, '*', ports as Transferable[]) }),
    'dedicated worker': () => inWorker('/listener.js'),
    'worker from a blob: URL': () =>
      inWorker(URL.createObjectURL(new Blob([`import '${origin}/listener.js'`], { type: 'text/javascript' }))),
    SharedWorker: () => new SharedWorker('/listener.js', { type }).port,
    'service worker': async () => {
      await navigator.serviceWorker.register('/listener.js', { type });
      return (await navigator.serviceWorker.ready).active!;
    },
    frame: () => inFrame(origin),
    'cross-site frame': () => inFrame(origin.replace('127.0.0.1', 'localhost')),
    'sandboxed frame': () => inFrame(origin, 'allow-scripts'),
  };
  const target = await targets[place]();
  const send = async (message: unknown): Promise<Outcome> => {
    const { port1, port2 } = new MessageChannel();
    target.postMessage(message, [port2]);
    return new Promise((resolve) => (port1.onmessage = (event) => resolve(event.data as Outcome)));
  };
  const after = (ms: number): Promise<'blocked'> => new Promise((resolve) => setTimeout(resolve, ms, 'blocked'));
  const outcome = send(data);
  if ((await Promise.race([outcome, after(15_000)])) !== 'blocked') return outcome;
  const answer = await Promise.race([send('ping'), after(5_000)]);
  return answer === 'blocked' ? answer : outcome;
}

/**
 * Writes an unpacked extension (Manifest V3) whose page and background try nearsight with an image of its own, and report
 * to the server. Chromium runs the background in a service worker, Firefox in a page.
 */
export async function writeExtension(folder: string, { origin }: ContextServer): Promise<void> {
  await cp('dist', folder, { recursive: true, filter: (path) => !/\.map$|jspi|asyncify/.test(path) });
  await cp('test/fixtures/glimpse/corner.gif', join(folder, 'corner.gif'));
  const data = { ...trial, image: 'corner.gif', options: { assets: '/', policy: 'local-only' } };
  // Without top-level await, which service workers refuse.
  const report = (where: string): string => `
    import { tryAll } from './try-all.js';
    tryAll(${JSON.stringify(data)})
      .catch((error) => ({ verdict: String(error) }))
      .then((outcome) => fetch('${origin}/?${where}', { method: 'POST', body: JSON.stringify(outcome) }));
  `;
  const manifest = {
    manifest_version: 3,
    name: 'nearsight test',
    version: '1',
    content_security_policy: { extension_pages: "script-src 'self' 'wasm-unsafe-eval'" },
    host_permissions: ['http://127.0.0.1/*'],
    background: { service_worker: 'background.js', scripts: ['background.js'], type: 'module' },
    browser_specific_settings: { gecko: { id: 'test@nearsight' } },
  };
  const files = {
    'manifest.json': JSON.stringify(manifest),
    'try-all.js': tryAll,
    'background.js': `${report('background')}\nchrome.tabs.create({ url: 'page.html' });`,
    'page.html': '<!doctype html><script type="module" src="page.js"></script>',
    'page.js': report('page'),
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
}
