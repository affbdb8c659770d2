import { createFetch } from '../../../src/fetch/intercept.ts';
import type { InterceptOptions } from '../../../src/fetch/request-context.ts';
import type { ChatJob } from '../../../src/protocol/job.ts';
import { ANSWER, engineOf, partsOf } from '../job-parts.ts';

export const NIM = 'https://integrate.api.nvidia.com';
export const CHAT = `${NIM}/v1/chat/completions`;
export const BODY = { model: 'glimpse', messages: [{ role: 'user', content: 'hi' }] };
export const JSON_BODY = JSON.stringify(BODY);

/** The calls of the wrapped fetch, which stands in for the network. */
type Passed = Parameters<typeof fetch>[];

export function makeFetch(options: Partial<InterceptOptions> = {}): {
  fetch: typeof fetch;
  passed: Passed;
  jobs: ChatJob[];
} {
  const passed: Passed = [];
  const jobs: ChatJob[] = [];
  const fetch = createFetch({
    intercept: [NIM, 'https://ai.api.nvidia.com/v1/vlm/'],
    model: async () => 'glimpse',
    limits: { requestBytes: 1000, imageBytes: 1000, images: 3, pixels: 1e6 },
    fetch: async (...call) => {
      passed.push(call);
      return new Response('from the network');
    },
    engine: engineOf((job) => {
      jobs.push(job);
      return partsOf(...ANSWER);
    }),
    ...options,
  });
  return { fetch, passed, jobs };
}

export const post = (body: RequestInit['body'] | null = JSON_BODY, init: RequestInit = {}): RequestInit => ({
  method: 'POST',
  body,
  ...init,
});
