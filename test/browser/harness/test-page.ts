import type { TestPage } from './harness.ts';
import { openSabotaged, type SabotagedOptions } from './fault-injection.ts';

declare global {
  // oxlint-disable-next-line no-var -- only `var` declares a global
  var lab: Lab;
}

/** What tests of the worker's life share in the page. */
export interface Lab {
  /** A nearsight on the software GPU (or the CPU), with an image to ask about. */
  make(device: 'webgpu' | 'wasm'): import('nearsight').Nearsight;
  /** A `data:` URL. */
  image: string;
  ask(on: import('nearsight').Nearsight, extra?: object, init?: RequestInit): Promise<Response>;
  /** Asks about an image that nobody has seen, so that nothing of it is kept. */
  fresh(): object;
  /** Asks for a stream that goes on until something stops it: by itself it would end after minutes. */
  long: object;
  /** True; rejects where the answer is not that of the Python reference. */
  works(on: import('nearsight').Nearsight): Promise<true>;
  /** `name` and `code` of what a promise was rejected with, or null. */
  fault(promise: Promise<unknown>): Promise<{ name: string; code: unknown } | null>;
  errorOf(response: Response): Promise<{ status: number; code: string }>;
}

/** A page with a {@link Lab}, its workers under control. */
export async function openLab(options?: SabotagedOptions): Promise<TestPage> {
  const page = await openSabotaged(options);
  await page.evaluate(installLab);
  return page;
}

/** Runs in the page. */
function installLab(): void {
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
  const fresh: Lab['fresh'] = () => {
    context.fillStyle = `rgb(${++shade} 0 255)`;
    context.fillRect(24, 24, 48, 48);
    return about(canvas.toDataURL('image/png'));
  };
  const make: Lab['make'] = (device) => nearsight.createNearsight({ model: glimpse, device });
  const ask: Lab['ask'] = (on, extra, init) =>
    on.fetch(url, { method: 'POST', body: body(extra), headers: { 'content-type': 'application/json' }, ...init });
  // 1279 is <end_of_utterance>.
  const long = { stream: true, n: 128, logit_bias: { 1279: -100 } };
  const works: Lab['works'] = async (on) => {
    const response = await ask(on);
    const text = await response.text();
    if (response.status !== 200) throw new Error(text);
    const { content } = JSON.parse(text).choices[0].message;
    if (content !== answer) throw new Error(`answered ${content}, not ${answer}`);
    return true;
  };
  const fault: Lab['fault'] = (promise) =>
    promise.then(
      () => null,
      (error) => ({ name: error.name, code: error.code }),
    );
  const errorOf: Lab['errorOf'] = async (response) => ({
    status: response.status,
    code: (await response.json()).error?.code,
  });
  Object.assign(globalThis, { lab: { make, image, fresh, long, ask, works, fault, errorOf } });
}
