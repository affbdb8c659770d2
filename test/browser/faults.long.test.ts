// @module-tag long
// @module-tag nightly-in-chromium
// `npm run test:faults`: everything that can go wrong with a stored model, at seeded points. Each fault ends in a right answer
// or a typed error; then the next request is right, no whole file is lost, and no half file is visible.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { integer, pick, xorshift } from '../random.ts';
import type { Fault } from '../hub/faults.ts';
import { openStoredPage, type StoredPage } from './harness/stored-page.ts';
import { spoilFile, type Damage } from './harness/spoil-file.ts';
import { browserName } from './harness/harness.ts';

const SEED = Number(process.env['NEARSIGHT_SEED'] ?? 13);
const random = xorshift(SEED);
const below = (count: number): number => integer(random, count);

const GRAPHS = ['vision_encoder', 'decoder_model_merged', 'embed_tokens'].map((name) => `onnx/${name}_q4.onnx`);
const FILES = [...GRAPHS, 'tokenizer.json', 'config.json'];
/** What is written of the model at least. Points are bytes, because browsers write as much at once as has arrived. */
const MODEL_BYTES = 2_900_000;
/** How often each kind is tried at points chosen at random. */
const isFull = process.env['NEARSIGHT_NIGHTLY'] === '1';
const [CUTS, KILLS, RELOADS] = isFull ? [25, 15, 5] : [4, 3, 1];

/** Errors with which a load may end. Any other one is a defect. */
const TYPED = ['load_failed', 'integrity', 'quota_exceeded', 'worker_crashed', 'device_lost', 'gpu_error'];

let session: StoredPage;
let survived = 0;
let tried = 0;

beforeAll(async () => {
  session = await openStoredPage();
}, 120_000);

afterAll(async () => {
  await session[Symbol.asyncDispose]();
  console.log(`${browserName}, seed ${SEED}: ${survived} faults survived, ${tried - survived} lost`);
});

/** Blobs whose bytes are not what their name says: there must be none. */
function wrongBlobs(): Promise<string[]> {
  return session.page.evaluate(() => stored.wrongBlobs());
}

function blobs(): Promise<string[]> {
  return session.page.evaluate(async () =>
    Object.keys(await stored.files()).filter((path) => path.includes('/blobs/')),
  );
}

/**
 * Loads and asks under a fault, then without it.
 *
 * @param outcomes what the first may end with; default: a right answer or any typed error
 */
async function survive(
  start: () => Promise<unknown>,
  end: () => Promise<unknown>,
  outcomes = ['right', ...TYPED],
): Promise<void> {
  tried++;
  const whole = await blobs();
  await start();
  const outcome = await session.page.evaluate(() => stored.attempt()).catch(() => 'page closed');
  await end();
  expect([...outcomes, 'page closed']).toContain(outcome);
  expect(await wrongBlobs()).toEqual([]);
  expect(await blobs()).toEqual(expect.arrayContaining(whole));
  // A right attempt has asked twice.
  if (outcome !== 'right') expect(await session.page.evaluate(() => stored.attempt())).toBe('right');
  expect(await wrongBlobs()).toEqual([]);
  survived++;
}

const clear = (): Promise<void> => session.page.evaluate(() => stored.clear());

async function surviveDownload(fault: Fault, outcomes?: string[]): Promise<void> {
  await clear();
  let endFault = (): void => {};
  await survive(
    async () => (endFault = session.hub.fault(fault)),
    async () => endFault(),
    outcomes,
  );
}

const plan = (changes: object): Promise<void> =>
  session.page.evaluate((changes) => {
    for (const name of Object.keys(faults.plan)) delete faults.plan[name as keyof typeof faults.plan];
    Object.assign(faults.plan, changes);
  }, changes);

test(`${CUTS} cut connections`, async () => {
  for (let count = 0; count < CUTS; count++) {
    const path = pick(random, FILES);
    await surviveDownload({ kind: 'cut', after: below(500_000), path, nth: 1 + below(2) }, ['right']);
  }
});

const SLOW: [string, Fault, string[]][] = [
  ['a server that is down', { kind: 'status', status: 500, path: GRAPHS[1]! }, ['load_failed']],
  ['a connection that stalls', { kind: 'stall', after: 200_000, path: GRAPHS[1]!, times: 1 }, ['right']],
  ['a server that says nothing', { kind: 'delay', milliseconds: 60_000, path: GRAPHS[1]!, times: 1 }, ['right']],
  ['revoked CORS', { kind: 'no-cors', path: GRAPHS[0]! }, ['load_failed']],
];

test.each<[string, Fault, string[]]>([
  ['a busy server', { kind: 'status', status: 503, times: 3 }, ['right']],
  ['a server that limits requests', { kind: 'status', status: 429, retryAfter: 1, times: 2 }, ['right']],
  ['a file that is gone', { kind: 'status', status: 404, path: GRAPHS[0]! }, ['load_failed']],
  ['a drip', { kind: 'drip', bytes: 60_000, every: 20, path: GRAPHS[2]! }, ['right']],
  ['ignored ranges', { kind: 'ignore-range' }, ['right']],
  ['refused ranges', { kind: 'refuse-range' }, ['right']],
  ['a wrong Content-Range', { kind: 'wrong-content-range', by: 7, path: GRAPHS[0]! }, ['right']],
  ['ranges of other bytes', { kind: 'shifted-range', by: 3, path: GRAPHS[0]! }, ['right']],
  ['an ETag that changes', { kind: 'new-etag', path: GRAPHS[1]! }, ['right']],
  ['a flipped bit, once', { kind: 'flip-bit', byte: 1000, path: GRAPHS[1]!, times: 1 }, ['right']],
  ['a flipped bit', { kind: 'flip-bit', byte: 1000, path: GRAPHS[1]! }, ['integrity']],
  ['a flipped bit in a small file', { kind: 'flip-bit', byte: 100, path: 'config.json' }, ['integrity']],
  ['a page in place of all files', { kind: 'html' }, ['load_failed']],
  ['a page in place of a graph', { kind: 'html', path: GRAPHS[2]!, times: 2 }, ['load_failed']],
  ['redirects in a loop', { kind: 'redirect-loop', path: GRAPHS[1]!, times: 1 }, ['right']],
  ['a truncated file', { kind: 'truncate', size: 400_000, path: GRAPHS[1]! }, ['integrity']],
  ['an appended file', { kind: 'append', bytes: 9, path: GRAPHS[1]! }, ['integrity']],
  ['files that come compressed', { kind: 'gzip' }, ['right']],
  ['another content type', { kind: 'content-type', type: 'text/plain' }, ['right']],
  // With pauses of up to 30 s.
  ...(isFull ? SLOW : []),
])('%s', async (_name, fault, outcomes) => surviveDownload(fault, outcomes));

test(`${KILLS} workers killed in the middle of a write`, async () => {
  for (let count = 0; count < KILLS; count++) {
    await clear();
    await survive(
      () => plan({ killAtByte: 1 + below(MODEL_BYTES) }),
      () => plan({}),
      ['worker_crashed'],
    );
  }
});

test(`a page closed ${RELOADS} times in mid-download`, async () => {
  for (let count = 0; count < RELOADS; count++) {
    await clear();
    const endDrip = session.hub.fault({ kind: 'drip', bytes: 20_000, every: 10 });
    let reloaded: Promise<void> | undefined;
    await survive(
      async () => {
        const delay = 200 + below(1500);
        reloaded = new Promise((resolve) => setTimeout(resolve, delay)).then(() => session.reload());
      },
      async () => {
        endDrip();
        // In Chromium, a second reload during the first fails.
        await reloaded;
      },
    );
  }
});

test('a full disk, at three points', async () => {
  for (let count = 0; count < 3; count++) {
    await clear();
    await survive(
      () => plan({ fullAtByte: 1 + below(MODEL_BYTES) }),
      () => plan({}),
      ['quota_exceeded'],
    );
  }
  await clear();
  await survive(
    () => plan({ freeBytes: 2e6 }),
    () => plan({}),
    ['quota_exceeded'],
  );
});

test.each<Damage>(['flip', 'truncate', 'append', 'delete'])(
  'a stored file after %s, at rest and during a load',
  async (how) => {
    for (const delay of [undefined, 100 + below(300)]) {
      const path = pick(random, FILES);
      await session.page.evaluate(() => stored.attempt());
      tried++;
      const spoil = (): Promise<void> => spoilFile(session.page, path, how);
      if (delay === undefined) await spoil();
      else setTimeout(() => void spoil().catch(() => {}), delay);
      const outcome = await session.page.evaluate(() => stored.attempt());
      expect(['right', ...TYPED]).toContain(outcome);
      if (delay !== undefined) await new Promise((resolve) => setTimeout(resolve, 300));
      expect(await session.page.evaluate(() => stored.attempt())).toBe('right');
      expect(await wrongBlobs()).toEqual([]);
      survived++;
    }
  },
);

test('two tabs that race', async () => {
  await clear();
  tried++;
  const tab = await session.openTab();
  const outcomes = await Promise.all([
    session.page.evaluate(() => stored.attempt()),
    tab.evaluate(() => stored.attempt()),
  ]);
  expect(outcomes).toEqual(['right', 'right']);
  expect(await wrongBlobs()).toEqual([]);
  await tab.close();
  survived++;
});

test('a clock that goes backwards', async () => {
  await clear();
  await survive(
    () => plan({ clockBackwards: true }),
    () => plan({}),
    ['right'],
  );
});

test('no memory when the graphs are opened', async () => {
  for (const maxHeapBytes of [17e6, 20e6, 24e6]) {
    await survive(
      () => plan({ maxHeapBytes }),
      () => plan({}),
    );
  }
});
