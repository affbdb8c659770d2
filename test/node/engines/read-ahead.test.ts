import { expect, test } from 'vitest';
import { readAhead } from '../../../worker/engines/onnx/read-ahead.ts';

/** Files whose reading ends when the test says so. */
function shelf(): { read: (name: string) => Promise<Uint8Array>; asked: string[]; end: (name: string) => void } {
  const asked: string[] = [];
  const ends = new Map<string, () => void>();
  return {
    asked,
    end: (name) => ends.get(name)?.(),
    read: (name) => {
      asked.push(name);
      return new Promise((resolve, reject) => {
        ends.set(name, () => (name === 'bad' ? reject(new Error('bad')) : resolve(new TextEncoder().encode(name))));
      });
    },
  };
}

test('a file is asked for when the one before is handed out, and no earlier', async () => {
  const { read, asked, end } = shelf();
  const next = readAhead(['a', 'b', 'c'], read);
  expect(asked).toEqual(['a']);
  const first = next();
  end('a');
  expect(new TextDecoder().decode(await first)).toBe('a');
  expect(asked).toEqual(['a', 'b']);
  end('b');
  await new Promise((resolve) => setTimeout(resolve));
  expect(asked).toEqual(['a', 'b']);
  expect(new TextDecoder().decode(await next())).toBe('b');
  expect(asked).toEqual(['a', 'b', 'c']);
});

test('what fails ahead is reported when it is asked for', async () => {
  const { read, end } = shelf();
  const next = readAhead(['a', 'bad'], read);
  end('a');
  await next();
  end('bad');
  await new Promise((resolve) => setTimeout(resolve));
  await expect(next()).rejects.toThrow('bad');
});
