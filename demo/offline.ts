/** How long a load waits for the service worker on a first visit, in milliseconds. Its shell has about 0.5 MB. */
const PATIENCE_MS = 5_000;

/**
 * Registers the service worker, which keeps the page and what it has used; see vite.pwa.ts.
 *
 * @returns resolves once it sees this page's requests, so that a load goes into its cache; also when that fails, or takes
 *   longer than {@link PATIENCE_MS}: the page then works, but not without a network
 */
export async function registerOffline(): Promise<void> {
  // Absent in Firefox's private windows, and without https.
  const container = 'serviceWorker' in navigator ? navigator.serviceWorker : undefined;
  if (!container || !import.meta.env.PROD) return;
  const controlled = new Promise<void>((resolve) => {
    if (container.controller) resolve();
    else container.addEventListener('controllerchange', () => resolve(), { once: true });
  });
  const registered = container.register(new URL('sw.js', document.baseURI));
  await Promise.race([
    // A failed registration ends the wait.
    Promise.all([registered, controlled]).catch(() => {}),
    new Promise((resolve) => setTimeout(resolve, PATIENCE_MS)),
  ]);
}
