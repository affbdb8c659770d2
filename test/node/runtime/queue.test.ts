import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { Queue } from '../../../worker/queue.ts';

const never = new AbortController().signal;

/** A task that ends when told to. */
function gate(): { task: () => Promise<void>; open: () => void } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { task: () => opened, open };
}

describe('the queue', () => {
  it('runs one at a time, in order, and goes on after a failure', async () => {
    const queue = new Queue();
    const log: string[] = [];
    let running = 0;
    const job = (name: string, fail = false) =>
      queue.run(async () => {
        expect(++running).toBe(1);
        await new Promise((resolve) => setTimeout(resolve));
        running--;
        log.push(name);
        if (fail) throw new Error(name);
      }, never);
    const results = await Promise.allSettled([job('a'), job('b', true), job('c')]);
    expect(log).toEqual(['a', 'b', 'c']);
    expect(results.map((result) => result.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });

  it('counts waiting tasks, and refuses one more than the limit', async () => {
    const queue = new Queue();
    const { task, open } = gate();
    const running = queue.run(task, never, 2);
    const waiting = [queue.run(task, never, 2), queue.run(task, never, 2)];
    expect(queue.waiting).toBe(2);
    await expect(queue.run(task, never, 2)).rejects.toMatchObject({ code: 'queue_full', status: 429 });
    open();
    await Promise.all([running, ...waiting]);
    expect(queue.waiting).toBe(0);
  });

  it('counts no task that is no request', async () => {
    const queue = new Queue();
    const { task, open } = gate();
    const other = queue.run(task, never);
    const request = queue.run(task, never, 0);
    await expect(queue.run(task, never, 0)).rejects.toMatchObject({ code: 'queue_full' });
    open();
    await Promise.all([other, request]);
  });

  it('removes an aborted task at once, and the next one does not overtake the running one', async () => {
    const queue = new Queue();
    const { task, open } = gate();
    const log: string[] = [];
    const first = queue.run(
      async () => {
        await task();
        log.push('first');
      },
      never,
      1,
    );
    const caller = new AbortController();
    const second = queue.run(async () => void log.push('second'), caller.signal, 1);
    const third = queue.run(async () => void log.push('third'), never, 2);
    caller.abort('changed my mind');
    await expect(second).rejects.toBe('changed my mind');
    expect(queue.waiting).toBe(1);
    open();
    await Promise.all([first, third]);
    expect(log).toEqual(['first', 'third']);
  });

  it('keeps nothing of 10,000 tasks that have ended: not their results, errors or abort reasons', async () => {
    setFlagsFromString('--expose_gc');
    const collect = runInNewContext('gc') as () => void;
    const queue = new Queue();
    const refs: WeakRef<object>[] = [];
    const seen = <T extends object>(made: T): T => {
      refs.push(new WeakRef(made));
      return made;
    };
    const runOne = async (at: number): Promise<void> => {
      const caller = new AbortController();
      if (at % 3 === 0) return void (await queue.run(async () => seen({ at }), caller.signal));
      if (at % 3 === 1) {
        const failing = queue.run(() => Promise.reject(seen(new Error(`${at}`))), caller.signal);
        return failing.catch(() => {});
      }
      const { task, open } = gate();
      const running = queue.run(task, never);
      const aborted = queue.run(task, caller.signal);
      caller.abort(seen(new Error(`${at}`)));
      await aborted.catch(() => {});
      open();
      await running;
    };
    for (let at = 0; at < 10_000; at++) await runOne(at);
    // References are kept alive until the end of the task in which they were made.
    await new Promise((resolve) => setTimeout(resolve));
    expect(refs).toHaveLength(10_000);
    const alive = (): number => {
      collect();
      return refs.filter((ref) => ref.deref() !== undefined).length;
    };
    await expect.poll(alive).toBeLessThan(10);
    expect(queue.waiting).toBe(0);
  });
});
