import { expect, test } from 'vitest';
import { readAhead } from '../../../worker/engines/common/read-ahead.ts';

/** Files whose reads end when the test says so. */
function pendingFiles(): {
  read: (name: string) => Promise<Uint8Array>;
  requested: string[];
  end: (name: string) => void;
} {
  const requested: string[] = [];
  const ends = new Map<string, () => void>();
  return {
    requested,
    end: (name) => ends.get(name)?.(),
    read: (name) => {
      requested.push(name);
      return new Promise((resolve, reject) => {
        ends.set(name, () => (name === 'bad' ? reject(new Error('bad')) : resolve(new TextEncoder().encode(name))));
      });
    },
  };
}

test('a file is requested when the one before is handed out, and no earlier', async () => {
  const { read, requested, end } = pendingFiles();
  const next = readAhead(['a', 'b', 'c'], read);
  expect(requested).toEqual(['a']);
  const first = next();
  end('a');
  expect(new TextDecoder().decode(await first)).toBe('a');
  expect(requested).toEqual(['a', 'b']);
  end('b');
  await new Promise((resolve) => setTimeout(resolve));
  expect(requested).toEqual(['a', 'b']);
  expect(new TextDecoder().decode(await next())).toBe('b');
  expect(requested).toEqual(['a', 'b', 'c']);
});

test('a read that fails early is reported when its file is asked for', async () => {
  const { read, end } = pendingFiles();
  const next = readAhead(['a', 'bad'], read);
  end('a');
  await next();
  end('bad');
  await new Promise((resolve) => setTimeout(resolve));
  await expect(next()).rejects.toThrow('bad');
});
