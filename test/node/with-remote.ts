/** An intercepting fetch whose remote is a real HTTP server that answers as NIM does (test/nim). Local answers are written by hand. */
import OpenAI from 'openai';
import { afterEach } from 'vitest';
import type { RemoteOptions } from '../../src/remote/remote-options.ts';
import { createFetch } from '../../src/fetch/intercept.ts';
import type { InterceptOptions } from '../../src/fetch/request-context.ts';
import { NearsightError, type ErrorCode } from '../../src/protocol/errors.ts';
import { startNim, type Nim, type NimOptions } from '../nim/server.ts';
import { ANSWER, engineOf, partsOf } from './job-parts.ts';

export const INTERCEPTED = 'https://integrate.api.nvidia.com/v1';
export const PNG = 'data:image/png;base64,iVBORw0KGgr/+/A=';
export const KEY = 'nvapi-secret-of-the-page';

export const LIMITS = { requestBytes: 1e6, imageBytes: 1000, images: 3, pixels: 1e6 };

export type Options = Partial<Omit<InterceptOptions, 'remote'>> & { remote?: Partial<RemoteOptions> };

let server: Nim | undefined;
afterEach(() => server?.close());

/** A fetch that serves the model `glimpse`, and the stand-in that is its remote. */
export async function fetchWithRemote(
  options: Options = {},
  nimOptions: NimOptions = {},
): Promise<{ fetch: typeof fetch; nim: Nim }> {
  const nim = await startNim(nimOptions);
  server = nim;
  const fetch = createFetch({
    intercept: [INTERCEPTED],
    model: async () => 'glimpse',
    limits: LIMITS,
    engine: engineOf(() => partsOf(...ANSWER)),
    ...options,
    remote: { baseURL: nim.baseURL, ...options.remote },
  });
  return { fetch, nim };
}

export function failing(code: ErrorCode): InterceptOptions['engine'] {
  return engineOf(() => Promise.reject(new NearsightError(code, 'Not here.')));
}

export function ask(fields: object = {}, init: RequestInit = {}): [string, RequestInit] {
  const body = JSON.stringify({ model: 'meta/llama', messages: [{ role: 'user', content: 'hi' }], ...fields });
  return [`${INTERCEPTED}/chat/completions`, { method: 'POST', body, ...init }];
}

export function image(url = PNG): object {
  return { messages: [{ role: 'user', content: ['What?', { image_url: url }] }] };
}

export function clientOf(fetch: typeof globalThis.fetch, maxRetries = 0): OpenAI {
  return new OpenAI({ baseURL: INTERCEPTED, apiKey: 'local', fetch, maxRetries });
}
