import { describe, expect, it } from 'vitest';
import {
  asNearsightError,
  unpackError,
  isNearsightError,
  NearsightError,
  packError,
} from '../../../src/protocol/errors.ts';
import { openPorts, readPort, servePort } from '../../../src/protocol/port.ts';

const never = new AbortController().signal;
const sent = Promise.resolve();

/** A worker that sends 0, 1, 2, … one per macrotask until it is told to stop. */
function counting(port: MessagePort, upTo = Infinity): Promise<void> {
  return servePort<number>(port, async (emit, signal) => {
    for (let i = 0; i < upTo && !signal.aborted; i++) {
      emit(i);
      await new Promise((resolve) => setTimeout(resolve));
    }
  });
}

async function collect<T>(stream: ReadableStream<T>): Promise<T[]> {
  const parts: T[] = [];
  for await (const part of stream) parts.push(part);
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

  it('wrap whatever else was thrown as internal, with its stack', () => {
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
    expect(await collect(readPort<number>(port1, sent, never))).toEqual([0, 1, 2, 3, 4]);
    await served;
    expect(openPorts).toBe(before);
  });

  it('delivers the parts before an error, then the error with its code', async () => {
    const { port1, port2 } = new MessageChannel();
    void servePort<number>(port2, async (emit) => {
      emit(1);
      throw new NearsightError('gpu_error', 'validation failed');
    });
    const reader = readPort<number>(port1, sent, never).getReader();
    expect((await reader.read()).value).toBe(1);
    await expect(reader.read()).rejects.toMatchObject({ code: 'gpu_error', message: 'validation failed' });
  });

  it('drops the parts that are under way when the reader cancels', async () => {
    const { port1, port2 } = new MessageChannel();
    const reader = readPort<number>(port1, sent, never).getReader();
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
    const reader = readPort<number>(port1, sent, never).getReader();
    await reader.read();
    await reader.cancel();
    await served;
    expect(openPorts).toBe(before);
  });

  it('stops the producer and rejects with the reason of the caller that aborts', async () => {
    const { port1, port2 } = new MessageChannel();
    const served = counting(port2);
    const caller = new AbortController();
    const reader = readPort<number>(port1, sent, never, caller.signal).getReader();
    await reader.read();
    const reason = new DOMException('enough', 'AbortError');
    caller.abort(reason);
    await expect(reader.read()).rejects.toBe(reason);
    await served;
  });

  it('rejects the reader when the worker has died, though no message comes', async () => {
    const before = openPorts;
    const { port1 } = new MessageChannel();
    const death = new AbortController();
    const reader = readPort<number>(port1, sent, death.signal).getReader();
    const read = reader.read();
    death.abort(new NearsightError('worker_crashed', 'gone'));
    await expect(read).rejects.toMatchObject({ code: 'worker_crashed' });
    expect(openPorts).toBe(before);
  });

  it('rejects at once when the worker was already dead or the caller already gone', async () => {
    const gone = AbortSignal.abort(new NearsightError('worker_crashed', 'gone'));
    const { port1, port2 } = new MessageChannel();
    await expect(readPort(port1, sent, gone).getReader().read()).rejects.toMatchObject({ code: 'worker_crashed' });
    await expect(readPort(port2, sent, never, AbortSignal.abort('bye')).getReader().read()).rejects.toBe('bye');
  });

  it('rejects the reader when the other end could not be sent', async () => {
    const before = openPorts;
    const { port1 } = new MessageChannel();
    const failed = Promise.reject(new DOMException('() => {} could not be cloned.', 'DataCloneError'));
    const reader = readPort<number>(port1, failed, never).getReader();
    await expect(reader.read()).rejects.toMatchObject({ name: 'DataCloneError' });
    expect(openPorts).toBe(before);
  });

  it('takes a cancel after the end as nothing', async () => {
    const { port1, port2 } = new MessageChannel();
    await counting(port2, 0);
    const stream = readPort<number>(port1, sent, never);
    await collect(stream);
    await expect(stream.cancel()).resolves.toBeUndefined();
  });
});
