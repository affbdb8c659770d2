import type { Nearsight, NearsightOptions } from 'nearsight';
import { startNim, type Nim } from '../../nim/server.ts';
import type { TestPage } from './harness.ts';
import { openSabotaged } from './fault-injection.ts';

declare global {
  // oxlint-disable-next-line no-var -- only `var` declares a global
  var wire: Wire;
}

/** A Response in plain data. */
export interface Answered {
  status: number;
  origin: string | null;
  model: string | null;
  reason: string | null;
  /** `x-should-retry`. */
  retry: string | null;
  text: string;
}

/** What tests of the wire share in the page. */
export interface Wire {
  /** A nearsight on the CPU. `broken`: one whose model cannot be loaded. */
  make(options?: Partial<NearsightOptions> & { broken?: boolean }): Nearsight;
  /** A `data:` URL. */
  image: string;
  /** What glimpse answers to {@link Wire.body} by the Python reference. */
  answer: string;
  /** Where chats are asked for. */
  url: string;
  /** A question about the image, to glimpse unless `fields` say otherwise. */
  body(fields?: object): string;
  /** The same, as `fetch`'s second argument. */
  post(fields?: object): RequestInit;
  /** Keeps glimpse from ending its answer: by itself it would end after minutes. */
  endless: object;
  /** Adds fields to the body of every request, so that clients which know no such fields send them. */
  adding(fields: object, fetch: typeof globalThis.fetch): typeof globalThis.fetch;
  /** Who answered, why, and what the whole body says. */
  answered(response: Response): Promise<Answered>;
  /** Counts the calls. */
  counting(fetch: typeof globalThis.fetch): { fetch: typeof globalThis.fetch; calls: () => number };
}

/**
 * A page that may go to other servers, its workers under control. It is not isolated, so that models have one thread
 * each: several run at once.
 */
export async function openAlone(): Promise<TestPage> {
  const page = await openSabotaged({ policy: null, isolated: false });
  await page.evaluate(installWire);
  return page;
}

/** The same, and a NIM stand-in that lets it in. */
export async function openWire(): Promise<{ page: TestPage; nim: Nim }> {
  const page = await openAlone();
  return { page, nim: await startNim({ cors: page.origin }) };
}

/** Runs in the page. */
export function installWire(): void {
  const make: Wire['make'] = ({ broken, ...options } = {}) => {
    const files = glimpse.files.map((file) => ({ ...file, url: '/nowhere' }));
    return nearsight.createNearsight({ model: broken ? { ...glimpse, files } : glimpse, device: 'wasm', ...options });
  };
  const { image, question, answer } = goldens.textFirst;
  const url = 'https://integrate.api.nvidia.com/v1/chat/completions';
  const body: Wire['body'] = (fields) =>
    JSON.stringify({
      model: 'glimpse',
      messages: [{ role: 'user', content: [question, { image_url: image }] }],
      ...fields,
    });
  const post: Wire['post'] = (fields) => ({ method: 'POST', body: body(fields) });
  // 1279 is <end_of_utterance>.
  const endless = { n: 128, logit_bias: { 1279: -100 } };
  const adding: Wire['adding'] = (fields, fetch) => (url, init) =>
    fetch(url, { ...init, body: JSON.stringify({ ...JSON.parse(init?.body as string), ...fields }) });
  const answered: Wire['answered'] = async (response) => ({
    status: response.status,
    origin: response.headers.get('x-nearsight-origin'),
    model: response.headers.get('x-nearsight-model'),
    reason: response.headers.get('x-nearsight-reason'),
    retry: response.headers.get('x-should-retry'),
    text: await response.text(),
  });
  const counting: Wire['counting'] = (fetch) => {
    let calls = 0;
    const counted: typeof fetch = (...call) => {
      calls++;
      return fetch(...call);
    };
    return { fetch: counted, calls: () => calls };
  };
  Object.assign(globalThis, {
    wire: { make, image, answer, url, body, post, endless, adding, answered, counting } satisfies Wire,
  });
}
