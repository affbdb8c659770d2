import { expect, test } from 'vitest';
import { race } from '../../../src/async/race.ts';

const never = new Promise<never>(() => {});

test.each([
  ['has aborted', 0],
  ['aborts', 1],
])('race rejects with the reason at once when the signal %s', async (_, later) => {
  const controller = new AbortController();
  const reason = new Error('enough');
  if (later === 0) controller.abort(reason);
  const waiting = race(never, controller.signal);
  controller.abort(reason);
  await expect(waiting).rejects.toBe(reason);
});
