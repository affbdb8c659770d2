/** A shim with a way out, whose remote is a real HTTP server that answers as NIM does (test/nim). Local answers are made by hand. */
import OpenAI from 'openai';
import { afterEach } from 'vitest';
import type { RemoteOptions } from '../../src/remote/ask-remote.ts';
import { createFetch, type InterceptOptions } from '../../src/fetch/intercept.ts';
import { NearsightError, type ErrorCode } from '../../src/protocol/errors.ts';
import { startNim, type Nim, type NimOptions } from '../nim/server.ts';
import { ANSWER, partsOf } from './job-parts.ts';

export const OWNED = 'https://integrate.api.nvidia.com/v1';
export const PNG = 'data:image/png;base64,iVBORw0KGgr/+/A=';
export const KEY = 'nvapi-secret-of-the-page';

export type Wire = Partial<Omit<InterceptOptions, 'remote'>> & { remote?: Partial<RemoteOptions> };

let server: Nim | undefined;
afterEach(() => server?.close());

/** A shim whose model is `glimpse`, and the stand-in that is its remote. */
export async function wired(wire: Wire = {}, options: NimOptions = {}): Promise<{ fetch: typeof fetch; nim: Nim }> {
  const nim = await startNim(options);
  server = nim;
  const fetch = createFetch({
    intercept: [OWNED],
    model: async () => 'glimpse',
    limits: { requestBytes: 1e6, imageBytes: 1000, images: 3 },
    generate: async () => partsOf(...ANSWER),
    ...wire,
    remote: { baseURL: nim.baseURL, ...wire.remote },
  });
  return { fetch, nim };
}

export function failing(code: ErrorCode): InterceptOptions['generate'] {
  return () => Promise.reject(new NearsightError(code, 'Not here.'));
}

export function ask(fields: object = {}, init: RequestInit = {}): [string, RequestInit] {
  const body = JSON.stringify({ model: 'meta/llama', messages: [{ role: 'user', content: 'hi' }], ...fields });
  return [`${OWNED}/chat/completions`, { method: 'POST', body, ...init }];
}

export function image(url = PNG): object {
  return { messages: [{ role: 'user', content: ['What?', { image_url: url }] }] };
}

export function clientOf(fetch: typeof globalThis.fetch, maxRetries = 0): OpenAI {
  return new OpenAI({ baseURL: OWNED, apiKey: 'local', fetch, maxRetries });
}
