/** Runs a function; resolves to the milliseconds of the longest task on the page's thread meanwhile, or 0. */
export const longest = PerformanceObserver.supportedEntryTypes.includes('longtask') ? longTasks : lateMessages;

/**
 * The least that {@link longest} gives in up to twenty rounds, of which one within the budget is the last. What our code does,
 * it does each time; what other processes do to this one, they do now and then.
 *
 * @param before runs before each round
 */
export async function longestAtBest(
  work: () => Promise<unknown>,
  budget: number,
  before?: () => Promise<void>,
): Promise<number> {
  let least = Infinity;
  for (let round = 0; round < 20 && least > budget; round++) {
    await before?.();
    least = Math.min(least, await longest(work));
  }
  return least;
}

/** Chromium tells of tasks over 50 ms. */
async function longTasks(work: () => Promise<unknown>): Promise<number> {
  const found: PerformanceEntry[] = [];
  let told = (): void => {};
  const observer = new PerformanceObserver((list) => {
    found.push(...list.getEntries());
    told();
  });
  observer.observe({ type: 'longtask' });
  await work();
  // They are told of in order, some time later: when a last one has been, made here, so have all before it.
  const last = await new Promise<number>((resolve) => {
    setTimeout(() => {
      const from = performance.now();
      while (performance.now() < from + 60);
      resolve(from);
    });
  });
  const ended = ({ startTime, duration }: PerformanceEntry): number => startTime + duration;
  while (!found.some((task) => ended(task) > last + 30)) await new Promise<void>((resolve) => (told = resolve));
  observer.disconnect();
  return Math.max(0, ...found.filter((task) => ended(task) < last + 30).map(({ duration }) => duration));
}

/** In Firefox, messages to oneself come late by what ran in between. */
async function lateMessages(work: () => Promise<unknown>): Promise<number> {
  const { port1, port2 } = new MessageChannel();
  let last = performance.now();
  let most = 0;
  let came = (): void => {};
  port1.onmessage = () => {
    const now = performance.now();
    most = Math.max(most, now - last);
    last = now;
    came();
    port2.postMessage(null);
  };
  port2.postMessage(null);
  await work();
  await new Promise<void>((resolve) => (came = resolve));
  port1.close();
  return most;
}
