/** What an abort does in each phase of a request. */
import { describe, expect, it, vi } from 'vitest';
import { race } from '../../../src/async/race.ts';
import { createFetch } from '../../../src/fetch/intercept.ts';
import type { InterceptOptions } from '../../../src/fetch/request-context.ts';
import type { Part } from '../../../src/protocol/job.ts';
import { ANSWER, engineOf, partsOf, slowParts, START, text } from '../job-parts.ts';

const CHAT = 'https://integrate.api.nvidia.com/v1/chat/completions';
const BODY = { model: 'glimpse', messages: [{ role: 'user', content: 'hi' }] };
const JSON_BODY = JSON.stringify(BODY);

function makeFetch(options: Partial<InterceptOptions> = {}): typeof fetch {
  return createFetch({
    intercept: ['https://integrate.api.nvidia.com'],
    model: async () => 'glimpse',
    limits: { requestBytes: 1000, imageBytes: 1000, images: 3, pixels: 1e6 },
    engine: engineOf(() => partsOf(...ANSWER)),
    ...options,
  });
}

function post(body: NonNullable<RequestInit['body']>, init: RequestInit): RequestInit {
  return { method: 'POST', body, ...init };
}

describe('an abort', () => {
  const reason = new Error('I changed my mind');

  it.each<[string, (signal: AbortSignal) => Parameters<typeof fetch>]>([
    ['of init', (signal) => [CHAT, post(JSON_BODY, { signal })]],
    ['of the Request', (signal) => [new Request(CHAT, post(JSON_BODY, { signal }))]],
  ])('%s before the call rejects with its reason, and nothing starts', async (_source, call) => {
    const generate = vi.fn(engineOf(() => partsOf(...ANSWER)).generate);
    await expect(makeFetch({ engine: { generate } })(...call(AbortSignal.abort(reason)))).rejects.toBe(reason);
    expect(generate).not.toHaveBeenCalled();
  });

  it('signal in init replaces that of the Request', async () => {
    const aborted = AbortSignal.abort(reason);
    const request = new Request(CHAT, post(JSON_BODY, { signal: aborted }));
    expect((await makeFetch()(request, { signal: null })).status).toBe(200);
  });

  /** A stream that never ends, and calls back when it is read. */
  const endless = <T>(begun: () => void): ReadableStream<T> =>
    new ReadableStream({ pull: begun }, { highWaterMark: 0 });

  it.each<[string, (begun: () => void) => [Partial<InterceptOptions>, NonNullable<RequestInit['body']>]]>([
    ['the body is read', (begun) => [{}, endless(begun)]],
    ['the model is looked up', (begun) => [{ model: () => new Promise(begun) }, JSON_BODY]],
    ['the answer is being started', (begun) => [{ engine: engineOf(() => new Promise(begun)) }, JSON_BODY]],
    [
      'the first token is awaited',
      (begun) => [{ engine: engineOf(() => endless<Part>(begun).getReader()) }, JSON_BODY],
    ],
  ])('while %s rejects at once', async (_phase, staying) => {
    const caller = new AbortController();
    let begun = (): void => {};
    const reached = new Promise<void>((resolve) => (begun = resolve));
    const [options, body] = staying(begun);
    const refused = expect(makeFetch(options)(CHAT, post(body, { signal: caller.signal }))).rejects.toBe(reason);
    await reached;
    caller.abort(reason);
    await refused;
  });

  it('while the body is read cancels its stream, as the native fetch does', async () => {
    const caller = new AbortController();
    const cancel = vi.fn();
    const { signal } = caller;
    await new Promise<void>((resolve) => {
      const body = new ReadableStream({ pull: () => resolve(), cancel }, { highWaterMark: 0 });
      makeFetch()(CHAT, post(body, { signal })).catch(() => {});
    });
    caller.abort(reason);
    await expect.poll(() => cancel.mock.calls).toEqual([[reason]]);
  });

  it('in mid-stream errors the body with its reason', async () => {
    const caller = new AbortController();
    const { stream } = slowParts(START, text('x'));
    const engine = engineOf((_job, signal) => ({
      read: () => race(stream.read(), signal),
      cancel: () => stream.cancel(),
    }));
    const body = JSON.stringify({ ...BODY, stream: true });
    const response = await makeFetch({ engine })(CHAT, post(body, { signal: caller.signal }));
    const reader = response.body?.getReader();
    await reader?.read();
    caller.abort(reason);
    const drain = async (): Promise<void> => {
      while (!(await reader?.read())?.done);
    };
    await expect(drain()).rejects.toBe(reason);
  });

  it('in mid-stream errors a body of which more has come than was read', async () => {
    const caller = new AbortController();
    const engine = engineOf(() => partsOf(...ANSWER));
    const body = JSON.stringify({ ...BODY, stream: true });
    const response = await makeFetch({ engine })(CHAT, post(body, { signal: caller.signal }));
    const reader = response.body?.getReader();
    await reader?.read();
    caller.abort(reason);
    const drain = async (): Promise<void> => {
      while (!(await reader?.read())?.done);
    };
    await expect(drain()).rejects.toBe(reason);
  });

  it('by a time-out rejects with the TimeoutError', async () => {
    const response = makeFetch({ engine: engineOf(() => new Promise(() => {})) })(
      CHAT,
      post(JSON_BODY, { signal: AbortSignal.timeout(5) }),
    );
    await expect(response).rejects.toMatchObject({ name: 'TimeoutError' });
  });

  it('after the answer has no effect', async () => {
    const caller = new AbortController();
    const response = await makeFetch()(CHAT, post(JSON_BODY, { signal: caller.signal }));
    caller.abort(reason);
    expect(await response.json()).toHaveProperty('choices');
  });

  it('leaves no listener on the signal', async () => {
    const { signal } = new AbortController();
    const add = vi.spyOn(signal, 'addEventListener');
    const remove = vi.spyOn(signal, 'removeEventListener');
    await (await makeFetch()(CHAT, post(JSON_BODY, { signal }))).text();
    expect(add.mock.calls.length).toBeGreaterThan(0);
    expect(remove.mock.calls.map(([, listener]) => listener)).toEqual(add.mock.calls.map(([, listener]) => listener));
  });
});
