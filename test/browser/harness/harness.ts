/**
 * The base of all browser tests: after `await using page = await openPage()`, `page.evaluate(…)` runs code in the page,
 * where `nearsight` and `OpenAI` are globals.
 */
import puppeteer, { type BrowserContext, type Page } from 'puppeteer-core';
import { inject } from 'vitest';
import { serve, type Server } from '../../../tools/serve.mjs';
import { engine } from './engine.ts';

export const browserName = inject('browserName');

/** Options of a test that loads on WebGPU several times: on Chromium's software adapter, a load takes half a minute. */
export const slowInChromium = { tags: ['long-in-chromium'] };

/** Options of a long test that takes minutes on that adapter: only the nightly run has it there. */
export const nightlyInChromium = { tags: [browserName === 'chromium' ? 'nightly' : 'long'] };

/** The content security policy under which the library must run. Images come as `data:` only. */
export const strictPolicy =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'";

const isolation = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
};

export interface PageOptions {
  /** Default: {@link strictPolicy}. Null sends none. */
  policy?: string | null;
  /** Whether the page is cross-origin isolated, which gives wasm its threads. Default true. */
  isolated?: boolean;
  /** Answers requests to the page's own origin, before its files do. */
  answer?: (request: Request) => Response | undefined | Promise<Response | undefined>;
}

/** One connection for all files: Firefox allows one session at a time, and the worker runs one file after the other. */
const browser = await puppeteer.connect({
  browserWSEndpoint: inject('endpoint'),
  protocol: browserName === 'firefox' ? 'webDriverBiDi' : 'cdp',
  defaultViewport: null,
  // Each test has its own time limit.
  protocolTimeout: 0,
});

/** An empty tab, for tests that serve their own page. */
export function newTab(): Promise<Page> {
  return browser.newPage();
}

/** Storage, caches and service workers of its own, as a new visitor has. Its caller closes it. */
export function newVisitor(): Promise<BrowserContext> {
  return browser.createBrowserContext();
}

/** A page with the test bundle loaded; records its requests and its log. */
export class TestPage implements AsyncDisposable {
  readonly page: Page;
  readonly origin: string;
  /** URLs of all requests of the page and its workers, in order. */
  readonly requests: string[] = [];
  /** Console messages and uncaught errors, in order. */
  readonly log: string[] = [];
  readonly #server: Server;

  constructor(page: Page, server: Server) {
    this.page = page;
    this.origin = server.origin;
    this.#server = server;
    page.on('request', (request) => this.requests.push(request.url()));
    page.on('console', (message) => this.log.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => this.log.push(`uncaught: ${describe(error)}`));
  }

  /** Requests to other origins, without `data:` and `blob:` URLs. */
  get foreign(): string[] {
    return this.requests.filter((url) => !url.startsWith(this.origin) && !/^(data|blob):/.test(url));
  }

  /**
   * Runs a function in the page. It has access to the page's globals and its arguments only; arguments and result are
   * JSON.
   */
  async evaluate<Args extends unknown[], Result>(
    run: (...args: Args) => Result | Promise<Result>,
    ...args: Args
  ): Promise<Result> {
    try {
      return (await this.page.evaluate(run as (...args: unknown[]) => unknown, ...args)) as Result;
    } catch (error) {
      throw new Error(`in the page: ${describe(error)}${this.#logText()}`, { cause: error });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.page.close();
    await this.#server.close();
  }

  #logText(): string {
    return this.log.length === 0 ? '' : `\n  the page's log:\n    ${this.log.slice(-20).join('\n    ')}`;
  }
}

/** Serves the test page and opens it in a new tab. */
export async function openPage({
  policy = strictPolicy,
  isolated = true,
  answer,
}: PageOptions = {}): Promise<TestPage> {
  const headers: Record<string, string> = { ...(isolated ? isolation : {}) };
  if (policy !== null) headers['content-security-policy'] = policy;
  const server = await serve(inject('pageFolder'), { headers, ...(answer ? { answer } : {}) });
  const page = new TestPage(await browser.newPage(), server);
  try {
    await page.page.goto(`${server.origin}/`);
    await page.page.waitForFunction(() => 'nearsight' in globalThis, { timeout: 60_000 });
    if (engine === 'transformers') await page.evaluate(moveGlimpse);
    return page;
  } catch (error) {
    await page[Symbol.asyncDispose]();
    throw new Error(`the test page did not start: ${describe(error)}\n  ${page.log.join('\n  ')}`, { cause: error });
  }
}

/** Runs in the page. The spec decides which engine runs a model, and its config which family it is. */
function moveGlimpse(): void {
  Object.assign(globalThis, { glimpse: { ...glimpse, modelType: 'llava' } });
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
