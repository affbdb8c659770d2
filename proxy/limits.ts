/** How often one client may send requests. */
export interface RateLimit {
  /** Requests per window. */
  requests: number;
  /** Length of a window, in seconds. */
  seconds: number;
  /** Identifies the client by session or account. IP addresses are shared and easy to change. */
  client: (request: Request) => string | Promise<string>;
  /** Where counts are kept. @defaultValue this process's memory: use a shared store for several processes */
  store?: RateStore | undefined;
}

/** Keeps counts for {@link RateLimit}. */
export interface RateStore {
  /** Counts one request of a client. @returns seconds to wait; 0: the request is allowed */
  take: (client: string, requests: number, seconds: number) => number | Promise<number>;
}

/** Counts in memory; each client has its own windows. Expired windows are removed. */
export function memoryStore(now: () => number = Date.now): RateStore {
  const windows = new Map<string, { ends: number; left: number }>();
  return {
    take(client, requests, seconds) {
      const time = now();
      // A map iterates in order of insertion, which is the order in which windows end.
      for (const [name, { ends }] of windows) {
        if (ends > time) break;
        windows.delete(name);
      }
      const window = windows.get(client) ?? { ends: time + seconds * 1000, left: requests };
      windows.set(client, window);
      if (window.left === 0) return Math.ceil((window.ends - time) / 1000);
      window.left--;
      return 0;
    },
  };
}
