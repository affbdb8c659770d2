import type { TestPage } from './harness.ts';
import { openPageWithFaults, type FaultPageOptions } from './fault-injection.ts';

declare global {
  // oxlint-disable-next-line no-var -- only `var` declares a global
  var testPage: TestPageTools;
}

/** Helpers in the page for tests of workers and their failures: the global `testPage`. */
export interface TestPageTools {
  /** A nearsight with glimpse, on the software GPU or on wasm. */
  make(device: 'webgpu' | 'wasm'): import('nearsight').Nearsight;
  /** A `data:` URL. */
  image: string;
  ask(on: import('nearsight').Nearsight, extra?: object, init?: RequestInit): Promise<Response>;
  /** Fields of a question about a new image, of which nothing is cached. */
  fresh(): object;
  /** Fields of a streamed answer that takes minutes unless something stops it. */
  long: object;
  /** Resolves to true, or rejects if the answer is not that of the Python reference. */
  works(on: import('nearsight').Nearsight): Promise<true>;
  /** `name` and `code` of the error that a promise rejects with, or null. */
  rejectionOf(promise: Promise<unknown>): Promise<{ name: string; code: unknown } | null>;
  errorOf(response: Response): Promise<{ status: number; code: string }>;
}

/** A page with fault injection and {@link TestPageTools}. */
export async function openTestPage(options?: FaultPageOptions): Promise<TestPage> {
  const page = await openPageWithFaults(options);
  await page.evaluate(installTestPage);
  return page;
}

/** Runs in the page. */
export function installTestPage(): void {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 96;
  const context = canvas.getContext('2d');
  if (!context) throw new Error('no canvas');
  const { image, question, answer } = goldens.imageFirst;
  const url = 'https://integrate.api.nvidia.com/v1/chat/completions';
  const about = (image: string): object => {
    const content = [
      { type: 'image_url', image_url: { url: image } },
      { type: 'text', text: question },
    ];
    return { messages: [{ role: 'user', content }] };
  };
  const body = (extra = {}): string => JSON.stringify({ model: 'glimpse', ...about(image), max_tokens: 12, ...extra });
  let shade = 0;
  const fresh: TestPageTools['fresh'] = () => {
    context.fillStyle = `rgb(${++shade} 0 255)`;
    context.fillRect(24, 24, 48, 48);
    return about(canvas.toDataURL('image/png'));
  };
  const make: TestPageTools['make'] = (device) => nearsight.createNearsight({ model: glimpse, device });
  const ask: TestPageTools['ask'] = (on, extra, init) =>
    on.fetch(url, { method: 'POST', body: body(extra), headers: { 'content-type': 'application/json' }, ...init });
  // 1279 is <end_of_utterance>. Each choice ends with the context: what `body` limits is not sent.
  const long = { stream: true, n: 128, logit_bias: { 1279: -100 }, max_tokens: undefined };
  const works: TestPageTools['works'] = async (on) => {
    const response = await ask(on);
    const text = await response.text();
    if (response.status !== 200) throw new Error(text);
    const { content } = JSON.parse(text).choices[0].message;
    if (content !== answer) throw new Error(`answered ${content}, not ${answer}`);
    return true;
  };
  const rejectionOf: TestPageTools['rejectionOf'] = (promise) =>
    promise.then(
      () => null,
      (error) => ({ name: error.name, code: error.code }),
    );
  const errorOf: TestPageTools['errorOf'] = async (response) => ({
    status: response.status,
    code: (await response.json()).error?.code,
  });
  Object.assign(globalThis, { testPage: { make, image, fresh, long, ask, works, rejectionOf, errorOf } });
}
