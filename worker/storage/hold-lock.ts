import { race } from '../../src/async/race.ts';

/**
 * Takes a lock shared, for as long as it takes.
 *
 * @returns releases it
 */
export async function holdLock(name: string, signal: AbortSignal): Promise<() => void> {
  let release = (): void => {};
  const until = new Promise<void>((resolve) => (release = resolve));
  const held = new Promise<void>((resolve, reject) => {
    const hold = (): Promise<void> => {
      resolve();
      return until;
    };
    navigator.locks.request(name, { mode: 'shared' }, hold).catch(reject);
  });
  try {
    await race(held, signal);
  } catch (error) {
    release();
    throw error;
  }
  return release;
}
