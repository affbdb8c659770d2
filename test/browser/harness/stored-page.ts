/** A page that loads glimpse from a hub on this machine, as a real model is loaded: into the store. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import listed from '../../../models/glimpse/files.json' with { type: 'json' };
import type { ModelSpec } from 'nearsight';
import { type Hub, startHub } from '../../hub/hub-server.ts';
import { newTab, strictPolicy, type TestPage } from './harness.ts';
import { installTestPage, openTestPage } from './test-page.ts';
import { type FaultPageOptions, installFaults } from './fault-injection.ts';

export const REPOSITORY = 'nearsight/glimpse';
export const COMMIT = '0123456789abcdef0123456789abcdef01234567';

const folder = fileURLToPath(new URL('../../../models/glimpse/', import.meta.url));

declare global {
  // oxlint-disable-next-line no-var -- only `var` declares a global
  var stored: StoredTools;
}

/** Helpers in the page: the global `stored`. */
export interface StoredTools {
  spec: ModelSpec;
  storage: (typeof import('nearsight/storage'))['storage'];
  make(device?: 'webgpu' | 'wasm', spec?: object): import('nearsight').Nearsight;
  /** Loads, answers, disposes: the facts of the load. */
  works(spec?: object): Promise<import('nearsight').ModelFacts>;
  /** Loads and asks twice: `right`, or the code of the error. */
  attempt(): Promise<string>;
  /** What the private file system holds: sizes by path. */
  files(): Promise<Record<string, number>>;
  /** The files of the spec, of all variants. */
  specFiles(): readonly { path: string; sha256: string }[];
  /** Stored files whose bytes are not what their name says. */
  wrongBlobs(): Promise<string[]>;
  /** Resolves when no worker uses a model any more: one that was just ended holds its lock for a moment. */
  released(): Promise<void>;
  /** Deletes everything, once the workers that held it are gone. */
  clear(): Promise<void>;
}

export interface StoredPage extends AsyncDisposable {
  page: TestPage;
  hub: Hub;
  /** Files that were asked for since the last call, each with its ranges. */
  fetched(): { file: string; range: string | undefined; status: number; bytes: number }[];
  /** Another tab on the same origin. */
  openTab(): Promise<import('puppeteer-core').Page>;
  /** Loads the page again: its workers are gone. */
  reload(): Promise<void>;
}

/** Starts a hub with glimpse's files, and opens a page whose policy allows it. */
export async function openStoredPage(options: FaultPageOptions = {}): Promise<StoredPage> {
  const files = Object.fromEntries(listed.map(({ path }) => [path, new Uint8Array(readFileSync(folder + path))]));
  const hub = await startHub({
    repositories: [{ id: REPOSITORY, revisions: { [COMMIT]: files }, branches: { main: COMMIT }, license: 'cc0-1.0' }],
  });
  const policy = strictPolicy.replace("connect-src 'self'", `connect-src 'self' ${hub.origin} ${hub.cdn}`);
  const page = await openTestPage({ policy, ...options });
  const install = (): Promise<void> => page.evaluate(installStored, `${hub.origin}/${REPOSITORY}/resolve/${COMMIT}/`);
  await install();
  let seen = 0;
  return {
    page,
    hub,
    fetched() {
      const fresh = hub.requests.slice(seen).filter(({ hop }) => hop === 'cdn' || hop === 'cache');
      seen = hub.requests.length;
      return fresh.map(({ file = '', range, status, bytes }) => ({ file, range, status, bytes }));
    },
    async openTab() {
      const tab = await newTab();
      await tab.goto(`${page.origin}/`);
      await tab.waitForFunction(() => 'nearsight' in globalThis);
      await tab.evaluate(installStored, `${hub.origin}/${REPOSITORY}/resolve/${COMMIT}/`);
      return tab;
    },
    async reload() {
      await page.page.reload();
      await page.page.waitForFunction(() => 'nearsight' in globalThis);
      await page.evaluate(installFaults, options.plan ?? {});
      await page.evaluate(installTestPage);
      await install();
    },
    async [Symbol.asyncDispose]() {
      await page[Symbol.asyncDispose]();
      await hub.close();
    },
  };
}

/** Runs in the page. */
function installStored(baseURL: string): void {
  const remove = (file: { url?: unknown }): object => ({ ...file, url: undefined });
  const spec = {
    ...glimpse,
    assets: undefined,
    baseURL,
    files: glimpse.files.map(remove),
    variants: glimpse.variants.map((variant) => ({
      ...variant,
      graphs: Object.fromEntries(
        Object.entries(variant.graphs).map(([name, { file, data }]) => [name, { file: remove(file), data }]),
      ),
    })),
  } as unknown as ModelSpec;
  const make: StoredTools['make'] = (device = 'wasm', changes = {}) =>
    nearsight.createNearsight({ model: { ...spec, ...changes }, device });
  const works: StoredTools['works'] = async (changes) => {
    const near = make('wasm', changes);
    try {
      const facts = await near.load();
      const { image, question, answer } = goldens.imageFirst;
      let text = '';
      for await (const piece of near.ask(image, question, { maxTokens: 12 })) text += piece;
      if (text !== answer) throw new Error(`answered ${text}, not ${answer}`);
      return facts;
    } finally {
      near.dispose();
    }
  };
  const attempt: StoredTools['attempt'] = async () => {
    const near = make();
    try {
      const { image, question, answer } = goldens.imageFirst;
      for (let count = 0; count < 2; count++) {
        let text = '';
        for await (const piece of near.ask(image, question, { maxTokens: 12 })) text += piece;
        if (text !== answer) return `wrong: ${text}`;
      }
      return 'right';
    } catch (error) {
      const { name, code, message } = error as Error & { code?: string };
      return name === 'NearsightError' ? String(code) : `${name}: ${message}`;
    } finally {
      near.dispose();
    }
  };
  const files: StoredTools['files'] = async () => {
    const found: Record<string, number> = {};
    const walk = async (folder: FileSystemDirectoryHandle, path: string): Promise<void> => {
      for await (const [name, handle] of folder.entries()) {
        if (handle.kind === 'file') found[path + name] = (await handle.getFile()).size;
        else await walk(handle, `${path}${name}/`);
      }
    };
    await walk(await navigator.storage.getDirectory(), '');
    return found;
  };
  const specFiles: StoredTools['specFiles'] = () => [
    ...spec.files,
    ...spec.variants.flatMap(({ graphs }) => Object.values(graphs).map(({ file }) => file)),
  ];
  const wrongBlobs: StoredTools['wrongBlobs'] = async () => {
    const wrong: string[] = [];
    const root = await navigator.storage.getDirectory();
    const format = await (await root.getDirectoryHandle('nearsight')).getDirectoryHandle('1');
    for await (const [name, handle] of (await format.getDirectoryHandle('blobs')).entries()) {
      const bytes = await (await (handle as FileSystemFileHandle).getFile()).arrayBuffer();
      const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
      if (Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('') !== name) wrong.push(name);
    }
    return wrong;
  };
  const released: StoredTools['released'] = async () => {
    const isUsed = ({ name }: LockInfo): boolean => name?.startsWith('nearsight/1/models/') ?? false;
    for (;;) {
      const { held = [] } = await navigator.locks.query();
      if (!held.some(isUsed)) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const clear: StoredTools['clear'] = async () => {
    for (let tries = 0; tries < 50; tries++) {
      await storage.clear();
      if (Object.keys(await files()).length === 0) return;
      // A worker that was just ended may hold its locks for a moment.
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`left: ${Object.keys(await files()).join(', ')}`);
  };
  const tools = {
    spec,
    storage,
    make,
    works,
    attempt,
    files,
    specFiles,
    wrongBlobs,
    released,
    clear,
  } satisfies StoredTools;
  Object.assign(globalThis, { stored: tools });
}
