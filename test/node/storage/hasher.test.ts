import { afterEach, beforeAll, expect, test, vi } from 'vitest';
import { Hasher } from '../../../worker/storage/hasher.ts';

const BLOB = new Blob(['abc']);
const HASH = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
const never = new AbortController().signal;

beforeAll(() => void (Hasher.script = 'store.js'));

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** A thread that starts, unless told otherwise, and answers what `reply` gives; without it, never. */
function stubWorker({ starts = true, reply }: { starts?: boolean; reply?: () => string | undefined }): {
  workers: { onerror?: (event: object) => void; isTerminated: boolean }[];
} {
  const workers: { onerror?: (event: object) => void; isTerminated: boolean }[] = [];
  class StubWorker {
    onmessage?: () => void;
    onerror?: (event: object) => void;
    isTerminated = false;
    constructor() {
      workers.push(this);
      if (starts) setTimeout(() => this.onmessage?.());
    }
    postMessage(_blob: Blob, [port]: [MessagePort]): void {
      if (reply) port.postMessage(reply());
    }
    terminate(): void {
      this.isTerminated = true;
    }
  }
  vi.stubGlobal('Worker', StubWorker);
  vi.stubGlobal('navigator', { userAgentData: {} });
  return { workers };
}

test('the hash is what the thread says', async () => {
  const { workers } = stubWorker({ reply: () => 'from the thread' });
  const hasher = new Hasher();
  expect(await hasher.hash(BLOB, never)).toBe('from the thread');
  hasher.close();
  expect(workers).toEqual([expect.objectContaining({ isTerminated: true })]);
});

test('this thread hashes outside Chromium, where there are no workers, and files that cannot be read in one', async () => {
  vi.stubGlobal('navigator', { userAgentData: {} });
  expect(await new Hasher().hash(BLOB, never)).toBe(HASH);
  const { workers } = stubWorker({ reply: () => undefined });
  vi.stubGlobal('navigator', {});
  expect(await new Hasher().hash(BLOB, never)).toBe(HASH);
  expect(workers).toEqual([]);
  vi.stubGlobal('navigator', { userAgentData: {} });
  expect(await new Hasher().hash(BLOB, never)).toBe(HASH);
});

test('this thread hashes if the other does not start in time', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  stubWorker({ starts: false });
  const hash = new Hasher().hash(BLOB, never);
  await vi.advanceTimersByTimeAsync(3000);
  expect(await hash).toBe(HASH);
});

test('this thread hashes if the other fails, before or after it has started', async () => {
  const { workers } = stubWorker({ starts: false });
  const first = new Hasher().hash(BLOB, never);
  workers[0]?.onerror?.({ preventDefault() {} });
  expect(await first).toBe(HASH);
  const started = stubWorker({});
  const second = new Hasher().hash(BLOB, never);
  await new Promise((resolve) => setTimeout(resolve, 20));
  started.workers[0]?.onerror?.({ preventDefault() {} });
  expect(await second).toBe(HASH);
});

test('an abort ends the wait', async () => {
  stubWorker({});
  const stop = new AbortController();
  const hash = new Hasher().hash(BLOB, stop.signal);
  stop.abort(new Error('closed'));
  await expect(hash).rejects.toThrow('closed');
});
