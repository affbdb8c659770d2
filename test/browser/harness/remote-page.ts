import type { Nearsight, NearsightOptions } from 'nearsight';
import { startNim, type Nim } from '../../nim/server.ts';
import type { TestPage } from './harness.ts';
import { openPageWithFaults } from './fault-injection.ts';

declare global {
  // oxlint-disable-next-line no-var -- only `var` declares a global
  var remotePage: RemotePageTools;
}

/** A Response as plain data. */
export interface ReadResponse {
  status: number;
  origin: string | null;
  model: string | null;
  reason: string | null;
  /** `x-should-retry`. */
  retry: string | null;
  text: string;
}

/** Helpers in the page for tests of requests and responses: the global `remotePage`. */
export interface RemotePageTools {
  /** A nearsight on wasm. `broken`: its model cannot be loaded. */
  make(options?: Partial<NearsightOptions> & { broken?: boolean }): Nearsight;
  /** A `data:` URL. */
  image: string;
  /** The Python reference's answer to {@link RemotePageTools.body}. */
  answer: string;
  /** The chat completions URL. */
  url: string;
  /** A request body: a question about the image, to glimpse unless `fields` name another model. */
  body(fields?: object): string;
  /** The second argument of `fetch` with that body. */
  post(fields?: object): RequestInit;
  /** Fields that rule out the end token: the answer then takes minutes. */
  endless: object;
  /** Adds fields to every request body, for clients that have no option for them. */
  withFields(fields: object, fetch: typeof globalThis.fetch): typeof globalThis.fetch;
  /** Reads the whole body, and the headers that say who answered and why. */
  readResponse(response: Response): Promise<ReadResponse>;
  /** Wraps `fetch` to count its calls. */
  countCalls(fetch: typeof globalThis.fetch): { fetch: typeof globalThis.fetch; calls: () => number };
}

/**
 * A page with fault injection, and without a policy, so that it can reach other servers. It is not isolated, so each
 * model has one thread: several run at once.
 */
export async function openUnrestrictedPage(): Promise<TestPage> {
  const page = await openPageWithFaults({ policy: null, isolated: false });
  await page.evaluate(installRemotePage);
  return page;
}

/** The same page, and a NIM stand-in that allows its origin. */
export async function openRemotePage(): Promise<{ page: TestPage; nim: Nim }> {
  const page = await openUnrestrictedPage();
  return { page, nim: await startNim({ cors: page.origin }) };
}

/** Runs in the page. */
export function installRemotePage(): void {
  const make: RemotePageTools['make'] = ({ broken, ...options } = {}) => {
    const files = glimpse.files.map((file) => ({ ...file, url: '/nowhere' }));
    return nearsight.createNearsight({ model: broken ? { ...glimpse, files } : glimpse, device: 'wasm', ...options });
  };
  const { image, question, answer } = goldens.textFirst;
  const url = 'https://integrate.api.nvidia.com/v1/chat/completions';
  const body: RemotePageTools['body'] = (fields) =>
    JSON.stringify({
      model: 'glimpse',
      messages: [{ role: 'user', content: [question, { image_url: image }] }],
      ...fields,
    });
  const post: RemotePageTools['post'] = (fields) => ({ method: 'POST', body: body(fields) });
  // 1279 is <end_of_utterance>. Each choice ends with the context: limits of the client are not sent.
  const limits = { max_tokens: undefined, max_completion_tokens: undefined };
  const endless = { n: 128, logit_bias: { 1279: -100 }, ...limits };
  const withFields: RemotePageTools['withFields'] = (fields, fetch) => (url, init) =>
    fetch(url, { ...init, body: JSON.stringify({ ...JSON.parse(init?.body as string), ...fields }) });
  const readResponse: RemotePageTools['readResponse'] = async (response) => ({
    status: response.status,
    origin: response.headers.get('x-nearsight-origin'),
    model: response.headers.get('x-nearsight-model'),
    reason: response.headers.get('x-nearsight-reason'),
    retry: response.headers.get('x-should-retry'),
    text: await response.text(),
  });
  const countCalls: RemotePageTools['countCalls'] = (fetch) => {
    let calls = 0;
    const counted: typeof fetch = (...call) => {
      calls++;
      return fetch(...call);
    };
    return { fetch: counted, calls: () => calls };
  };
  Object.assign(globalThis, {
    remotePage: {
      make,
      image,
      answer,
      url,
      body,
      post,
      endless,
      withFields,
      readResponse,
      countCalls,
    } satisfies RemotePageTools,
  });
}
