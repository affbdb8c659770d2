import { describe, expect, it, vi } from 'vitest';
import {
  asNearsightError,
  unpackError,
  isNearsightError,
  NearsightError,
  packError,
} from '../../../src/protocol/errors.ts';
import { openPorts, readPort, servePort, type PartReader } from '../../../src/protocol/port.ts';

const never = new AbortController().signal;
const sent = Promise.resolve();
/** Nothing ends the port but its own messages. */
const open = { sent, dead: never };

/** A worker that sends 0, 1, 2, … one per macrotask until it is told to stop. */
function counting(port: MessagePort, upTo = Infinity): Promise<void> {
  return servePort<number>(port, async (emit, signal) => {
    for (let i = 0; i < upTo && !signal.aborted; i++) {
      emit(i);
      await new Promise((resolve) => setTimeout(resolve));
    }
  });
}

async function collect<T>(reader: PartReader<T>): Promise<T[]> {
  const parts: T[] = [];
  for (let next = await reader.read(); !next.done; next = await reader.read()) parts.push(next.value);
  return parts;
}

describe('errors across threads', () => {
  it('keep code, message, param and the stack of where it happened', () => {
    const original = new NearsightError('unreadable_image', 'not an image', { param: 'messages[0]' });
    const copy = unpackError(structuredClone(packError(original)));
    expect(copy).toBeInstanceOf(NearsightError);
    expect(copy).toMatchObject({
      code: 'unreadable_image',
      message: 'not an image',
      param: 'messages[0]',
      status: 400,
    });
    expect(copy.stack).toBe(original.stack);
  });

  it('become internal, with their stack, if they are of another class', () => {
    const thrown = new TypeError('x is undefined');
    expect(asNearsightError(thrown)).toMatchObject({ code: 'internal', cause: thrown });
    expect(packError(thrown)).toMatchObject({ code: 'internal', message: 'x is undefined', stack: thrown.stack });
    expect(packError('a string')).toMatchObject({ code: 'internal', message: 'a string' });
  });

  it('are recognised by name and code, whichever bundle they are from', () => {
    class Foreign extends Error {
      override readonly name: string = 'NearsightError';
      readonly code: unknown;
      constructor(code: unknown) {
        super('from another bundle');
        this.code = code;
      }
    }
    const foreign = new Foreign('queue_full');
    expect(isNearsightError(foreign)).toBe(true);
    expect(asNearsightError(foreign)).toBe(foreign);
    expect(isNearsightError(new NearsightError('internal', 'x'))).toBe(true);
    for (const code of ['busy', 'toString', '', undefined, null, 7]) {
      expect(isNearsightError(new Foreign(code)), String(code)).toBe(false);
      expect(asNearsightError(new Foreign(code)).code).toBe('internal');
    }
    const others = [undefined, null, 'NearsightError', 7, {}, new Error('x'), { name: 'Error', code: 'internal' }];
    for (const other of others) expect(isNearsightError(other)).toBe(false);
  });
});

describe('the port', () => {
  it('delivers parts in order, then ends, and closes both sides', async () => {
    const before = openPorts;
    const { port1, port2 } = new MessageChannel();
    const served = counting(port2, 5);
    expect(await collect(readPort<number>(port1, open))).toEqual([0, 1, 2, 3, 4]);
    await served;
    expect(openPorts).toBe(before);
  });

  it('delivers the parts before an error, then the error with its code', async () => {
    const { port1, port2 } = new MessageChannel();
    void servePort<number>(port2, async (emit) => {
      emit(1);
      throw new NearsightError('gpu_error', 'validation failed');
    });
    const reader = readPort<number>(port1, open);
    expect((await reader.read()).value).toBe(1);
    await expect(reader.read()).rejects.toMatchObject({ code: 'gpu_error', message: 'validation failed' });
  });

  it('drops parts that arrive after the reader cancels', async () => {
    const { port1, port2 } = new MessageChannel();
    const reader = readPort<number>(port1, open);
    for (let i = 0; i < 100; i++) port2.postMessage({ part: i });
    await reader.read();
    await reader.cancel();
    // A part that met the closed stream would be an uncaught exception, which fails the run.
    await new Promise((resolve) => setTimeout(resolve, 20));
  });

  it('stops the producer when the reader cancels', async () => {
    const before = openPorts;
    const { port1, port2 } = new MessageChannel();
    const served = counting(port2);
    const reader = readPort<number>(port1, open);
    await reader.read();
    await reader.cancel();
    await served;
    expect(openPorts).toBe(before);
  });

  it('stops the producer and rejects with the reason of the caller that aborts', async () => {
    const { port1, port2 } = new MessageChannel();
    const served = counting(port2);
    const caller = new AbortController();
    const reader = readPort<number>(port1, { ...open, signal: caller.signal });
    await reader.read();
    const reason = new DOMException('enough', 'AbortError');
    caller.abort(reason);
    await expect(reader.read()).rejects.toBe(reason);
    await served;
  });

  it('rejects the reader when the worker dies without a message', async () => {
    const before = openPorts;
    const { port1 } = new MessageChannel();
    const death = new AbortController();
    const reader = readPort<number>(port1, { sent, dead: death.signal });
    const read = reader.read();
    death.abort(new NearsightError('worker_crashed', 'gone'));
    await expect(read).rejects.toMatchObject({ code: 'worker_crashed' });
    expect(openPorts).toBe(before);
  });

  it('rejects at once when the worker is dead or the caller has aborted already', async () => {
    const gone = AbortSignal.abort(new NearsightError('worker_crashed', 'gone'));
    const { port1, port2 } = new MessageChannel();
    await expect(readPort(port1, { sent, dead: gone }).read()).rejects.toMatchObject({ code: 'worker_crashed' });
    await expect(readPort(port2, { ...open, signal: AbortSignal.abort('bye') }).read()).rejects.toBe('bye');
  });

  it('rejects the reader when the other end could not be sent', async () => {
    const before = openPorts;
    const { port1 } = new MessageChannel();
    const failed = Promise.reject(new DOMException('() => {} could not be cloned.', 'DataCloneError'));
    const reader = readPort<number>(port1, { sent: failed, dead: never });
    await expect(reader.read()).rejects.toMatchObject({ name: 'DataCloneError' });
    expect(openPorts).toBe(before);
  });

  it('ignores a cancel after the end', async () => {
    const { port1, port2 } = new MessageChannel();
    await counting(port2, 0);
    const reader = readPort<number>(port1, open);
    await collect(reader);
    await expect(reader.cancel()).resolves.toBeUndefined();
    expect(await reader.read()).toMatchObject({ done: true });
  });

  it('ends a read that waits when the reader cancels', async () => {
    const { port1 } = new MessageChannel();
    const reader = readPort<number>(port1, open);
    const waiting = reader.read();
    await reader.cancel();
    expect(await waiting).toMatchObject({ done: true });
  });

  it('drops unread parts at an error, and keeps them at the end', async () => {
    const failed = new MessageChannel();
    const ended = new MessageChannel();
    const readers = [readPort<number>(failed.port1, open), readPort<number>(ended.port1, open)] as const;
    for (const { port2 } of [failed, ended]) port2.postMessage({ part: 1 });
    failed.port2.postMessage({ error: packError(new NearsightError('gpu_error', 'validation failed')) });
    ended.port2.postMessage({ end: true });
    await new Promise((resolve) => setTimeout(resolve, 20));
    await expect(readers[0].read()).rejects.toMatchObject({ code: 'gpu_error' });
    expect(await collect(readers[1])).toEqual([1]);
  });
});

describe('onFinish', () => {
  const lost = new NearsightError('device_lost', 'gone');
  const reason = new Error('enough');

  it.each<[string, unknown, (end: { port: MessagePort; caller: AbortController; dying: AbortController }) => void]>([
    ['the end', undefined, ({ port }) => port.postMessage({ end: true })],
    ['an error of the worker', lost, ({ port }) => port.postMessage({ error: packError(lost) })],
    ['an abort of the caller', reason, ({ caller }) => caller.abort(reason)],
    ['the death of the worker', lost, ({ dying }) => dying.abort(lost)],
  ])('is called once, without a read, at %s', async (_what, error, finish) => {
    const { port1, port2 } = new MessageChannel();
    const [caller, dying] = [new AbortController(), new AbortController()];
    const onFinish = vi.fn();
    const reader = readPort(port1, { sent, dead: dying.signal, signal: caller.signal, onFinish });
    expect(onFinish).not.toHaveBeenCalled();
    finish({ port: port2, caller, dying });
    await expect.poll(() => onFinish).toHaveBeenCalled();
    caller.abort(reason);
    await reader.cancel();
    expect(onFinish.mock.calls).toEqual([[error]]);
  });

  it('is called without an error when the reader cancels', async () => {
    const onFinish = vi.fn();
    await readPort(new MessageChannel().port1, { ...open, onFinish }).cancel();
    expect(onFinish.mock.calls).toEqual([[undefined]]);
  });
});
