import { join } from 'node:path';
import { build, preview, type Plugin, type PreviewServer } from 'vite';
import { browserName, newVisitor, TestPage } from './harness/harness.ts';

const configFile = 'demo/vite.config.ts';

/** The built demo behind its own server and headers. */
export class DemoSite {
  readonly origin: string;
  readonly #serve: () => Promise<PreviewServer>;
  readonly #build: (head: string) => Promise<unknown>;
  #server: PreviewServer | undefined;

  private constructor(
    build: (head: string) => Promise<unknown>,
    serve: () => Promise<PreviewServer>,
    server: PreviewServer,
  ) {
    this.#build = build;
    this.#serve = serve;
    this.#server = server;
    this.origin = new URL(server.resolvedUrls?.local[0] ?? '').origin;
  }

  /**
   * Builds and serves the demo.
   *
   * @param name of the folder to build into
   * @param plugins for both
   */
  static async start(name: string, plugins: Plugin[] = []): Promise<DemoSite> {
    const outDir = join(process.cwd(), '.cache/demo', `${name}-${browserName}`);
    const make = (head: string): Promise<unknown> => {
      const inHead: Plugin = {
        name: 'in-head',
        transformIndexHtml: (html) => html.replace('</head>', () => `${head}</head>`),
      };
      return build({ configFile, logLevel: 'warn', plugins: [...plugins, inHead], build: { outDir } });
    };
    await make('');
    const serve = (port: number): Promise<PreviewServer> =>
      preview({ configFile, logLevel: 'warn', plugins, build: { outDir }, preview: { port } });
    // Both browsers' tests may run at the same time, and a server that restarts needs the port that it had.
    const server = await serve(browserName === 'chromium' ? 4700 : 4800);
    const port = Number(new URL(server.resolvedUrls?.local[0] ?? '').port);
    return new DemoSite(make, () => serve(port), server);
  }

  /** Cuts the network: open connections too. */
  async stop(): Promise<void> {
    if (this.#server && 'closeAllConnections' in this.#server.httpServer) this.#server.httpServer.closeAllConnections();
    await this.#server?.close();
    this.#server = undefined;
  }

  /** Publishes a new version, which differs by an element in its head. */
  async update(head: string): Promise<void> {
    await this.#build(head);
  }

  async restart(): Promise<void> {
    this.#server ??= await this.#serve();
  }
}

/** The demo as a new visitor sees it, with the first sample image. */
export async function openDemo(origin: string, search = '?device=wasm'): Promise<TestPage> {
  const visitor = await newVisitor();
  // wasm works the same on every machine.
  const demo = new TestPage(await visitor.newPage(), { origin, close: () => visitor.close() });
  await visit(demo, search);
  return demo;
}

/** Opens the demo, again or for the first time, and waits until nothing moves any more. */
export async function visit(demo: TestPage, search = '?device=wasm'): Promise<void> {
  await demo.page.goto(`${demo.origin}/${search}`);
  await demo.page.waitForSelector('#suggestions button');
  await demo.page.waitForFunction(
    () => !/checking/.test(document.querySelector('#status-text')?.textContent ?? 'checking'),
  );
}

/** The text of the last element that matches, once there are `count` of them and it is not empty. */
export async function lastText(demo: TestPage, selector: string, count = 1): Promise<string> {
  try {
    const handle = await demo.page.waitForFunction(
      (wanted: string, min: number) => {
        const found = document.querySelectorAll(wanted);
        return found.length >= min ? found[found.length - 1]?.textContent : undefined;
      },
      { timeout: 100_000 },
      selector,
      count,
    );
    return String(await handle.jsonValue());
  } catch (cause) {
    const page = await demo.evaluate(() => document.body.innerText);
    throw new Error(`no ${selector}; the page says:\n${page}\n${demo.log.join('\n')}`, { cause });
  }
}

/** Chooses an image of the visitor's own. */
export async function choose(demo: TestPage, file: string): Promise<void> {
  const input = await demo.page.$('input#file');
  await input?.uploadFile(file);
}
