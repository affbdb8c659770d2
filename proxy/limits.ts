/** How often one client may ask. */
export interface RateLimit {
  /** Requests… */
  requests: number;
  /** …in this many seconds. */
  seconds: number;
  /** Names the client: a session or an account. An IP address is shared by many and cheap to change. */
  client: (request: Request) => string | Promise<string>;
  /** Where counts are kept. @defaultValue in this process's memory: give a shared one where there are several */
  store?: RateStore | undefined;
}

/** Keeps counts for {@link RateLimit}. */
export interface RateStore {
  /** Counts one request of a client. @returns seconds until it may ask again; 0: it may now */
  take: (client: string, requests: number, seconds: number) => number | Promise<number>;
}

/** Counts in memory, each client in windows of its own. Windows that are over are forgotten. */
export function memoryStore(now: () => number = Date.now): RateStore {
  const windows = new Map<string, { ends: number; left: number }>();
  return {
    take(client, requests, seconds) {
      const time = now();
      // A map keeps its order of insertion, which is that of the ends.
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
