import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { startEngine } from '../../../src/host/start-engine.ts';

class MissingWorker extends EventTarget {
  onerror: ((event: Event) => void) | null = null;
  constructor() {
    super();
    setTimeout(() => this.onerror?.(new Event('error')));
  }
  postMessage(): void {}
  terminate(): void {}
}

beforeEach(() => {
  vi.stubGlobal('isSecureContext', true);
  vi.stubGlobal('origin', 'https://page.example');
  vi.stubGlobal('navigator', { locks: { request: () => new Promise(() => {}) } });
});

afterEach(() => vi.unstubAllGlobals());

const bothWays = /npx nearsight assets.*optimizeDeps/;

test('a script that is missing is load_failed with its address and both ways to put it right', async () => {
  vi.stubGlobal('Worker', MissingWorker);
  const { dead } = await startEngine('https://page.example/near/worker.js');
  await expect.poll(() => dead.aborted).toBe(true);
  const { code, message } = dead.reason;
  expect(code).toBe('load_failed');
  expect(message).toMatch(/worker\.js could not be loaded from https:\/\/page\.example\/near\/worker\.js: /);
  expect(message).toMatch(bothWays);
  expect(message).not.toContain('Cross-Origin');
});

test('in a cross-origin isolated page, it may lack a header', async () => {
  vi.stubGlobal('Worker', MissingWorker);
  vi.stubGlobal('crossOriginIsolated', true);
  const { dead } = await startEngine('https://page.example/near/worker.js');
  await expect.poll(() => dead.aborted).toBe(true);
  expect(dead.reason.message).toMatch(/not JavaScript, or its response lacks Cross-Origin-Embedder-Policy\./);
});

test('a script that the browser refuses is load_failed with the reason', async () => {
  vi.stubGlobal('Worker', function () {
    throw new DOMException('another origin', 'SecurityError');
  });
  const starting = startEngine('https://other.example/worker.js');
  await expect(starting).rejects.toMatchObject({ code: 'load_failed', message: expect.stringMatching(bothWays) });
  await expect(starting).rejects.toThrow(/another origin/);
});
