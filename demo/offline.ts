/** How long a load waits for the service worker on a first visit, in milliseconds. Its shell is smaller than any model. */
const PATIENCE_MS = 30_000;

/**
 * Registers the service worker, which keeps the page and what it has used; see vite.pwa.ts.
 *
 * @returns resolves once it sees this page's requests, so that a load goes into its cache; also when that fails, or takes
 *   longer than {@link PATIENCE_MS}: the page then works, but not without a network
 */
export async function registerOffline(): Promise<void> {
  // Absent in Firefox's private windows, and without https.
  if (!('serviceWorker' in navigator)) return;
  const { serviceWorker } = navigator;
  const patience = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
  await Promise.race([controlled(serviceWorker).catch(() => {}), patience]);
}

/** Resolves once the service worker controls this page, or is known not to. */
async function controlled(container: ServiceWorkerContainer): Promise<void> {
  const claimed = new Promise<void>((resolve) => {
    container.addEventListener('controllerchange', () => resolve(), { once: true });
  });
  const { installing } = await container.register(new URL('sw.js', document.baseURI));
  // Already controlled; or reloaded past the service worker, which does not claim such a page.
  if (container.controller || !installing) return;
  const failed = new Promise<void>((resolve) => {
    installing.addEventListener('statechange', () => {
      if (installing.state === 'redundant') resolve();
    });
  });
  await Promise.race([claimed, failed]);
}
