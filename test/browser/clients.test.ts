/**
 * What the clients that people use make of an answer, of each failure, of an abort and of a time-out: unmodified, in a
 * real page, answered by glimpse in the page, by a NIM stand-in on another origin (test/nim), and by the latter in
 * place of the former.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startNim, type Nim } from '../nim/server.ts';
import type { Client, Outcome, Question } from './page/clients.ts';
import { browserName, type TestPage } from './harness/harness.ts';
import { openAlone, openWire } from './harness/remote-page.ts';

/** An outcome, and how often the client called `fetch` for it. */
type Attempted = Outcome & { calls: number };

/** How a test asks: what is JSON of a {@link Question}. */
type Asked = Omit<Question, 'fetch' | 'image' | 'model' | 'signal' | 'onText'> & {
  /** Has the remote break off when its first text is here. */
  cut?: boolean;
};

const CLIENTS: Client[] = ['openai', 'the AI SDK', 'LangChain'];

/** A failure: its status (none in mid-stream), and whether another attempt makes sense. */
type Failure = 400 | 401 | 413 | 429 | 503 | 'mid-stream';

/** What each client throws. LangChain asks through openai and throws its errors. */
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
    // Thrown when attempts were used up.
    429: 'AI_RetryError',
    503: 'AI_RetryError',
    'mid-stream': 'AI_StreamProviderError',
  },
  LangChain: OPENAI_ERRORS,
};

/** What a client that may try twice must make of a failure: what may pass is tried again, all else is not. */
function failure(client: Client, kind: Failure, code: string, message: string): object {
  const status = typeof kind === 'number' ? { status: kind } : {};
  return {
    said: kind === 'mid-stream' ? expect.stringMatching(/\S/) : '',
    fault: { kind: ERRORS[client][kind], code, message: expect.stringContaining(message), ...status },
    calls: kind === 429 || kind === 503 ? 2 : 1,
  };
}

let page: TestPage;
let nim: Nim;

beforeAll(async () => {
  ({ page, nim } = await openWire());
});

afterAll(async () => {
  await page[Symbol.asyncDispose]();
  await nim.close();
});

/**
 * Asks the remote.
 *
 * @param instead asks for the local model, which cannot be loaded, so that the remote answers in its place
 */
function askRemote(
  client: Client,
  model: string,
  instead: boolean,
  asked: Asked = {},
  remote = nim,
): Promise<Attempted> {
  return page.evaluate(
    async (client, model, instead, baseURL, asked) => {
      const { askThrough } = await loadClients();
      const remote = { baseURL, dialect: 'nim2' as const, ...(instead && { model }) };
      const near = wire.make({ broken: instead, remote });
      const { fetch, calls } = wire.counting(near.fetch);
      const onText = (): void => {
        if (asked.cut) void globalThis.fetch(`${baseURL}/cut`, { method: 'POST', body: JSON.stringify({ model }) });
      };
      const question = { ...asked, fetch, image: wire.image, model: instead ? 'glimpse' : model, onText };
      const outcome = await askThrough(client, question);
      near.dispose();
      return { ...outcome, calls: calls() };
    },
    client,
    model,
    instead,
    remote.baseURL,
    asked,
  );
}

/** Where the remote is asked, and whether in place of a page that failed. */
const AFAR = [
  ['by the remote', false],
  ['by the remote, because the page failed before the first token', true],
] as const;

const testClient = (client: Client): void => {
  const ways = client === 'openai' ? (['whole', 'stream', 'helper'] as const) : (['whole', 'stream'] as const);

  test('is answered in the page, whole and streamed alike', async () => {
    const { texts, answer } = await page.evaluate(
      async (client, ways) => {
        const { askThrough } = await loadClients();
        const near = wire.make({ policy: 'local-only' });
        const texts: Outcome[] = [];
        for (const how of ways) {
          texts.push(await askThrough(client, { fetch: near.fetch, image: wire.image, model: 'glimpse', how }));
        }
        near.dispose();
        return { texts, answer: wire.answer };
      },
      client,
      ways,
    );
    expect(texts).toEqual(ways.map(() => ({ said: answer, fault: null })));
  });

  test.each(AFAR)('is answered %s', async (_where, instead) => {
    const asked = ways.map((how) => askRemote(client, 'meta/llama', instead, { how }));
    for (const { said, fault } of await Promise.all(asked)) {
      expect(fault).toBeNull();
      expect(said).toMatch(/^(From afar\.|A cat ✓\.)$/);
    }
  });

  test.each(AFAR)('hands over each failure %s, as the remote said it', async (_where, instead) => {
    const failures = [
      [400, 'plain-validation', 'remote_error', 'Unsupported parameter(s): `tool_stream`'],
      [401, 'unauthorized', 'invalid_api_key', 'Authentication failed'],
      [413, 'nginx-too-large', 'request_too_large', '413 Request Entity Too Large'],
      [429, 'too-many', 'rate_limit_exceeded', 'Too Many Requests'],
      [503, 'busy', 'remote_error', 'All workers are busy'],
    ] as const;
    await Promise.all(
      failures.map(async ([status, name, code, message]) => {
        const outcome = await askRemote(client, `error/${name}`, instead, { retries: 1 });
        expect(outcome).toMatchObject(failure(client, status, code, message));
      }),
    );
    const streamed = ways.filter((how) => how !== 'whole');
    await Promise.all(
      streamed.map(async (how) => {
        const broken = await askRemote(client, 'stream/fails-nested', instead, { how, retries: 1 });
        expect(broken).toMatchObject(failure(client, 'mid-stream', 'remote_error', 'EngineCore died'));
        const hanging = `stream/hang/${client}/${how}/${instead}`;
        const cut = await askRemote(client, hanging, instead, { how, retries: 1, cut: true });
        expect(cut).toMatchObject(failure(client, 'mid-stream', 'remote_unavailable', 'broke off'));
      }),
    );
  });

  test('is answered by the remote at the second attempt', async () => {
    const outcome = await askRemote(client, `once/busy/${client}`, false, { retries: 1 });
    expect(outcome).toEqual({ said: 'From afar.', fault: null, calls: 2 });
  });

  test('hands over each failure of the page, and is answered when it has passed', async () => {
    await using own = await openAlone();
    const outcomes = await own.evaluate(failInPage, client);
    const { answer, image, large, busy, freed, dying, after, unloadable } = outcomes;
    expect(image).toMatchObject(failure(client, 400, 'unreadable_image', 'messages[0].content[1].image_url'));
    expect(large).toMatchObject(
      failure(client, 413, 'request_too_large', 'more than 20000 bytes (limits.requestBytes)'),
    );
    expect(busy).toMatchObject(failure(client, 429, 'queue_full', 'limits.waiting'));
    expect(freed).toEqual({ said: answer, fault: null, calls: 2 });
    expect(dying).toMatchObject(failure(client, 'mid-stream', 'worker_crashed', 'The worker stopped'));
    expect(after).toEqual({ said: answer, fault: null, calls: 1 });
    expect(unloadable).toMatchObject(failure(client, 503, 'load_failed', '/nowhere: HTTP 404'));
  });

  test('stops the answer in the page when it is aborted, or out of time', async () => {
    const { aborted, late, waiting, ports, after, answer } = await page.evaluate(stopInPage, client);
    expect(aborted).toEqual({ said: expect.stringMatching(/\S/), fault: ABORTED[client] });
    expect(late).toMatchObject({ said: '', fault: { kind: LATE[client] }, calls: 1 });
    // The one port left is that of the load.
    expect({ waiting, ports }).toEqual({ waiting: 0, ports: 1 });
    expect(after).toEqual({ said: answer, fault: null });
  });

  test('tells the remote when it is aborted, or out of time', async ({ expect }) => {
    const model = `stream/hang/${client}`;
    const aborted = await page.evaluate(
      async (client, baseURL, model) => {
        const { askThrough } = await loadClients();
        const { fetch } = wire.make({ remote: { baseURL } });
        const abort = new AbortController();
        const question = { fetch, image: wire.image, model, how: 'stream' as const };
        return askThrough(client, { ...question, signal: abort.signal, onText: () => abort.abort() });
      },
      client,
      nim.baseURL,
      model,
    );
    expect(aborted).toEqual({ said: 'A', fault: ABORTED[client] });
    await expect.poll(() => nim.seen.find(({ body }) => body['model'] === model)).toMatchObject({ aborted: true });
    const busy = await startNim({ cors: page.origin });
    const late = await askRemote(client, 'queued/99', false, { timeoutMs: 300 }, busy);
    expect(late).toMatchObject({ said: '', fault: { kind: LATE[client] }, calls: 1 });
    // One question may still have been under way; those who go on ask four times a second.
    const asked = async (): Promise<number> => {
      const before = busy.seen.length;
      await new Promise((resolve) => setTimeout(resolve, 600));
      return busy.seen.length - before;
    };
    await expect.poll(asked).toBe(0);
    await busy.close();
  });
};

// At once: most of the time goes into clients' pauses before they ask again. Of Firefox, the short run has one client.
const rest = { concurrent: true, tags: browserName === 'firefox' ? ['long'] : [] };
describe.each(CLIENTS.slice(0, 1))('%s', { concurrent: true }, testClient);
describe.each(CLIENTS.slice(1))('%s', rest, testClient);

/** openai and the AI SDK end their streams without a word when they are aborted. */
const ABORTED: Record<Client, unknown> = {
  openai: null,
  'the AI SDK': null,
  LangChain: expect.objectContaining({ kind: 'AbortError' }),
};
const LATE: Record<Client, string> = {
  openai: 'APIConnectionTimeoutError',
  'the AI SDK': 'TimeoutError',
  LangChain: 'TimeoutError',
};

/** Runs in the page: every failure that a page can have by itself. It never answers 401, for want of a key to check. */
async function failInPage(client: Client) {
  const { askThrough } = await loadClients();
  const near = wire.make({ policy: 'local-only', limits: { requestBytes: 20_000, waiting: 0 } });
  const ask = async (question: Partial<Question> = {}): Promise<Attempted> => {
    const { fetch, calls } = wire.counting(question.fetch ?? near.fetch);
    const usual = { image: wire.image, model: 'glimpse', retries: 1 };
    return { ...(await askThrough(client, { ...usual, ...question, fetch })), calls: calls() };
  };
  const image = await ask({ image: 'data:image/png;base64,AAAA' });
  const large = await ask({ text: 'x'.repeat(20_000) });
  await near.load();
  const worker = sabotage.workers.at(-1);
  await sabotage.order('hold');
  const decoding = sabotage.decoding();
  const other = near.fetch(wire.url, wire.post());
  await decoding;
  // While that one is kept in its prefill. This one's model is another: its time is spent waiting, too.
  const none = wire.make({ broken: true, policy: 'local-only' });
  const [busy, unloadable] = await Promise.all([ask(), ask({ fetch: none.fetch })]);
  none.dispose();
  const freed = await ask({
    fetch: async (...call) => {
      const response = await near.fetch(...call);
      if (response.status === 429) {
        await sabotage.order('release');
        await (await other).text();
      }
      return response;
    },
  });
  const dying = await ask({
    how: 'stream',
    maxTokens: 400,
    fetch: wire.adding(wire.endless, near.fetch),
    onText: () => worker?.terminate(),
  });
  const after = await ask();
  near.dispose();
  return { answer: wire.answer, image, large, busy, freed, dying, after, unloadable };
}

/** Runs in the page: an abort at the first text, then a time-out, in answers that would go on. */
async function stopInPage(client: Client) {
  const { askThrough } = await loadClients();
  const near = wire.make({ policy: 'local-only' });
  const endless = wire.adding(wire.endless, near.fetch);
  const usual = { fetch: endless, image: wire.image, model: 'glimpse', maxTokens: 400 };
  const abort = new AbortController();
  const onText = (): void => abort.abort();
  const aborted = await askThrough(client, { ...usual, how: 'stream', signal: abort.signal, onText });
  const { fetch, calls } = wire.counting(endless);
  const late = await askThrough(client, { ...usual, fetch, timeoutMs: 100 });
  const after = await askThrough(client, { ...usual, fetch: near.fetch, maxTokens: 4 });
  const { waiting, ports } = await near.debugStats();
  near.dispose();
  return { aborted, late: { ...late, calls: calls() }, after, waiting, ports, answer: wire.answer };
}
