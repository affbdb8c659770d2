// @module-tag long-in-chromium
/**
 * How client libraries handle an answer, each failure, an abort and a timeout. They run unmodified in a real page, and are
 * answered by glimpse, by a NIM stand-in on another origin (test/nim), and by the stand-in after a local failure.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startNim, type Nim } from '../nim/server.ts';
import type { Client, Outcome, Question } from './page/clients.ts';
import type { TestPage } from './harness/harness.ts';
import { openUnrestrictedPage, openRemotePage } from './harness/remote-page.ts';

/** An outcome, and how often the client called `fetch`. */
type CountedOutcome = Outcome & { calls: number };

/** The options of a {@link Question} that are JSON. */
type QuestionOptions = Omit<Question, 'fetch' | 'image' | 'model' | 'signal' | 'onText'> & {
  /** Makes the remote break off after its first text. */
  cut?: boolean;
};

const CLIENTS: Client[] = ['openai', 'the AI SDK', 'LangChain'];

/** A failure by its status. In mid-stream there is none. */
type Failure = 400 | 401 | 413 | 429 | 503 | 'mid-stream';

/** The error that each client throws. LangChain uses openai and throws its errors. */
const OPENAI_ERRORS: Record<Failure, string> = {
  400: 'BadRequestError',
  401: 'AuthenticationError',
  413: 'APIError',
  429: 'RateLimitError',
  503: 'InternalServerError',
  'mid-stream': 'APIError',
};
const ERRORS: Record<Client, Record<Failure, string>> = {
  openai: OPENAI_ERRORS,
  'the AI SDK': {
    400: 'AI_APICallError',
    401: 'AI_APICallError',
    413: 'AI_APICallError',
    // Thrown after the last attempt.
    429: 'AI_RetryError',
    503: 'AI_RetryError',
    'mid-stream': 'AI_StreamProviderError',
  },
  LangChain: OPENAI_ERRORS,
};

/** The expected outcome of a failure with one retry: clients try again after a 429 or 503 only. */
function failure(client: Client, kind: Failure, code: string, message: string): object {
  const status = typeof kind === 'number' ? { status: kind } : {};
  return {
    text: kind === 'mid-stream' ? expect.stringMatching(/\S/) : '',
    error: { kind: ERRORS[client][kind], code, message: expect.stringContaining(message), ...status },
    calls: kind === 429 || kind === 503 ? 2 : 1,
  };
}

let page: TestPage;
let nim: Nim;

beforeAll(async () => {
  ({ page, nim } = await openRemotePage());
});

afterAll(async () => {
  await page[Symbol.asyncDispose]();
  await nim.close();
});

/**
 * Asks the remote.
 *
 * @param fallback asks for the local model, which cannot be loaded, so that the remote answers instead
 */
function askRemote(
  client: Client,
  model: string,
  fallback: boolean,
  options: QuestionOptions = {},
  remote = nim,
): Promise<CountedOutcome> {
  return page.evaluate(
    async (client, model, fallback, baseURL, options) => {
      const { askThrough } = await loadClients();
      const remote = { baseURL, dialect: 'nim2' as const, ...(fallback && { model }) };
      const near = remotePage.make({ broken: fallback, remote });
      const { fetch, calls } = remotePage.countCalls(near.fetch);
      const onText = (): void => {
        if (options.cut) void globalThis.fetch(`${baseURL}/cut`, { method: 'POST', body: JSON.stringify({ model }) });
      };
      const question = { ...options, fetch, image: remotePage.image, model: fallback ? 'glimpse' : model, onText };
      const outcome = await askThrough(client, question);
      near.dispose();
      return { ...outcome, calls: calls() };
    },
    client,
    model,
    fallback,
    remote.baseURL,
    options,
  );
}

/** How the request comes to the remote, and whether the local model failed before. */
const REMOTE_PATHS = [
  ['by the remote', false],
  ['by the remote, because the local model failed before the first token', true],
] as const;

const testClient = (client: Client): void => {
  const modes = client === 'openai' ? (['whole', 'stream', 'helper'] as const) : (['whole', 'stream'] as const);

  test('gets the same answer from the local model, whole and streamed', async () => {
    const { texts, answer } = await page.evaluate(
      async (client, modes) => {
        const { askThrough } = await loadClients();
        const near = remotePage.make({ policy: 'local-only' });
        const texts: Outcome[] = [];
        for (const how of modes) {
          texts.push(await askThrough(client, { fetch: near.fetch, image: remotePage.image, model: 'glimpse', how }));
        }
        near.dispose();
        return { texts, answer: remotePage.answer };
      },
      client,
      modes,
    );
    expect(texts).toEqual(modes.map(() => ({ text: answer, error: null })));
  });

  test.each(REMOTE_PATHS)('is answered %s', async (_where, fallback) => {
    const outcomes = modes.map((how) => askRemote(client, 'meta/llama', fallback, { how }));
    for (const { text, error } of await Promise.all(outcomes)) {
      expect(error).toBeNull();
      expect(text).toMatch(/^(From afar\.|A cat ✓\.)$/);
    }
  });

  test.each(REMOTE_PATHS)('throws each failure %s, with the message of the remote', async (_where, fallback) => {
    const failures = [
      [400, 'plain-validation', 'remote_error', 'Unsupported parameter(s): `tool_stream`'],
      [401, 'unauthorized', 'invalid_api_key', 'Authentication failed'],
      [413, 'nginx-too-large', 'request_too_large', '413 Request Entity Too Large'],
      [429, 'too-many', 'rate_limit_exceeded', 'Too Many Requests'],
      [503, 'busy', 'remote_error', 'All workers are busy'],
    ] as const;
    await Promise.all(
      failures.map(async ([status, name, code, message]) => {
        const outcome = await askRemote(client, `error/${name}`, fallback, { retries: 1 });
        expect(outcome).toMatchObject(failure(client, status, code, message));
      }),
    );
    const streamed = modes.filter((how) => how !== 'whole');
    await Promise.all(
      streamed.map(async (how) => {
        const broken = await askRemote(client, 'stream/fails-nested', fallback, { how, retries: 1 });
        expect(broken).toMatchObject(failure(client, 'mid-stream', 'remote_error', 'EngineCore died'));
        const hanging = `stream/hang/${client}/${how}/${fallback}`;
        const cut = await askRemote(client, hanging, fallback, { how, retries: 1, cut: true });
        expect(cut).toMatchObject(failure(client, 'mid-stream', 'remote_unavailable', 'broke off'));
      }),
    );
  });

  test('is answered by the remote on the second attempt', async () => {
    const outcome = await askRemote(client, `once/busy/${client}`, false, { retries: 1 });
    expect(outcome).toEqual({ text: 'From afar.', error: null, calls: 2 });
  });

  test('throws each local failure, and is answered afterwards', async () => {
    await using own = await openUnrestrictedPage();
    const outcomes = await own.evaluate(failInPage, client);
    const { answer, image, large, busy, freed, dying, after, unloadable } = outcomes;
    expect(image).toMatchObject(failure(client, 400, 'unreadable_image', 'messages[0].content[1].image_url'));
    expect(large).toMatchObject(
      failure(client, 413, 'request_too_large', 'more than 20000 bytes (limits.requestBytes)'),
    );
    expect(busy).toMatchObject(failure(client, 429, 'queue_full', 'limits.waiting'));
    expect(freed).toEqual({ text: answer, error: null, calls: 2 });
    expect(dying).toMatchObject(failure(client, 'mid-stream', 'worker_crashed', 'The worker stopped'));
    expect(after).toEqual({ text: answer, error: null, calls: 1 });
    expect(unloadable).toMatchObject(failure(client, 503, 'load_failed', '/nowhere: HTTP 404'));
  });

  test('an abort or a timeout stops the local answer', async () => {
    const { aborted, late, waiting, ports, after, answer } = await page.evaluate(stopInPage, client);
    expect(aborted).toEqual({ text: expect.stringMatching(/\S/), error: ABORTED[client] });
    expect(late).toMatchObject({ text: '', error: { kind: TIMED_OUT[client] }, calls: 1 });
    // One port is left, that of the load.
    expect({ waiting, ports }).toEqual({ waiting: 0, ports: 1 });
    expect(after).toEqual({ text: answer, error: null });
  });

  test('an abort or a timeout stops the request to the remote', async ({ expect }) => {
    const model = `stream/hang/${client}`;
    const aborted = await page.evaluate(
      async (client, baseURL, model) => {
        const { askThrough } = await loadClients();
        const { fetch } = remotePage.make({ remote: { baseURL } });
        const abort = new AbortController();
        const question = { fetch, image: remotePage.image, model, how: 'stream' as const };
        return askThrough(client, { ...question, signal: abort.signal, onText: () => abort.abort() });
      },
      client,
      nim.baseURL,
      model,
    );
    expect(aborted).toEqual({ text: 'A', error: ABORTED[client] });
    await expect.poll(() => nim.seen.find(({ body }) => body['model'] === model)).toMatchObject({ aborted: true });
    const busy = await startNim({ cors: page.origin });
    const late = await askRemote(client, 'queued/99', false, { timeoutMs: 300 }, busy);
    expect(late).toMatchObject({ text: '', error: { kind: TIMED_OUT[client] }, calls: 1 });
    // One poll may still be under way. A request that was not stopped polls four times a second.
    const polls = async (): Promise<number> => {
      const before = busy.seen.length;
      await new Promise((resolve) => setTimeout(resolve, 600));
      return busy.seen.length - before;
    };
    await expect.poll(polls).toBe(0);
    await busy.close();
  });
};

// Concurrent, because most of the time is spent in the clients' pauses before retries. `npm test` runs one client.
const options = { concurrent: true, tags: ['long-in-firefox'] };
describe.each(CLIENTS.slice(0, 1))('%s', { concurrent: true }, testClient);
describe.each(CLIENTS.slice(1))('%s', options, testClient);

/** openai and the AI SDK end their streams without an error when they are aborted. */
const ABORTED: Record<Client, unknown> = {
  openai: null,
  'the AI SDK': null,
  LangChain: expect.objectContaining({ kind: 'AbortError' }),
};
const TIMED_OUT: Record<Client, string> = {
  openai: 'APIConnectionTimeoutError',
  'the AI SDK': 'TimeoutError',
  LangChain: 'TimeoutError',
};

/** Runs in the page: all local failures. There is no 401, because no key is checked locally. */
async function failInPage(client: Client) {
  const { askThrough } = await loadClients();
  const near = remotePage.make({ policy: 'local-only', limits: { requestBytes: 20_000, waiting: 0 } });
  const ask = async (question: Partial<Question> = {}): Promise<CountedOutcome> => {
    const { fetch, calls } = remotePage.countCalls(question.fetch ?? near.fetch);
    const defaults = { image: remotePage.image, model: 'glimpse', retries: 1 };
    return { ...(await askThrough(client, { ...defaults, ...question, fetch })), calls: calls() };
  };
  const image = await ask({ image: 'data:image/png;base64,AAAA' });
  const large = await ask({ text: 'x'.repeat(20_000) });
  await near.load();
  const worker = faults.workers.at(-1);
  await faults.command('hold');
  const decoding = faults.decoding();
  const other = near.fetch(remotePage.url, remotePage.post());
  await decoding;
  // Both while the first request is held in its prefill. The second has another instance, whose model cannot be loaded.
  const unloadableModel = remotePage.make({ broken: true, policy: 'local-only' });
  const [busy, unloadable] = await Promise.all([ask(), ask({ fetch: unloadableModel.fetch })]);
  unloadableModel.dispose();
  const freed = await ask({
    fetch: async (...call) => {
      const response = await near.fetch(...call);
      if (response.status === 429) {
        await faults.command('release');
        await (await other).text();
      }
      return response;
    },
  });
  const dying = await ask({
    how: 'stream',
    maxTokens: 400,
    fetch: remotePage.withFields(remotePage.endless, near.fetch),
    onText: () => worker?.terminate(),
  });
  const after = await ask();
  near.dispose();
  return { answer: remotePage.answer, image, large, busy, freed, dying, after, unloadable };
}

/** Runs in the page: an abort after the first text, then a timeout, during answers that do not end. */
async function stopInPage(client: Client) {
  const { askThrough } = await loadClients();
  const near = remotePage.make({ policy: 'local-only' });
  const endless = remotePage.withFields(remotePage.endless, near.fetch);
  const defaults = { fetch: endless, image: remotePage.image, model: 'glimpse', maxTokens: 400 };
  const abort = new AbortController();
  const onText = (): void => abort.abort();
  const aborted = await askThrough(client, { ...defaults, how: 'stream', signal: abort.signal, onText });
  const { fetch, calls } = remotePage.countCalls(endless);
  const late = await askThrough(client, { ...defaults, fetch, timeoutMs: 100 });
  const after = await askThrough(client, { ...defaults, fetch: near.fetch, maxTokens: 4 });
  const { waiting, ports } = await near.debugStats();
  near.dispose();
  return { aborted, late: { ...late, calls: calls() }, after, waiting, ports, answer: remotePage.answer };
}
