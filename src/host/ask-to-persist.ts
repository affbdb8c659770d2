let asked = false;

/**
 * Asks the browser, once for this page, not to evict what this origin stores. Not in the worker, where there is no such
 * call, and without waiting for the answer: Firefox asks the visitor.
 */
export function askToPersist(): void {
  if (asked) return;
  asked = true;
  const { storage } = globalThis.navigator as Partial<Navigator>;
  void storage?.persist?.().catch(() => {});
}
