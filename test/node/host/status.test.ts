import { afterEach, expect, test, vi } from 'vitest';
import { createStatus, type StatusValue } from '../../../src/host/status.ts';

const READING: StatusValue = { state: 'downloading', loadedBytes: 1, totalBytes: 2 };
const fault = new Error('a mistake in the page');

afterEach(() => vi.unstubAllGlobals());

test('what a listener throws is reported, and the other listeners are called', () => {
  const report = vi.fn();
  vi.stubGlobal('reportError', report);
  const { status, set } = createStatus();
  const seen: string[] = [];
  const unsubscribe = status.subscribe(() => {
    throw fault;
  });
  status.subscribe(({ state }) => void seen.push(state));
  set(READING);
  expect(seen).toEqual(['idle', 'downloading']);
  // It stays subscribed after its first call, until it is unsubscribed.
  expect(report.mock.calls).toEqual([[fault], [fault]]);
  unsubscribe();
  set({ state: 'idle' });
  expect(report).toHaveBeenCalledTimes(2);
});

test('without reportError, what a listener throws becomes an uncaught error', () => {
  vi.stubGlobal('reportError', undefined);
  const later = vi.fn();
  vi.stubGlobal('setTimeout', later);
  createStatus().status.subscribe(() => {
    throw fault;
  });
  expect(later.mock.calls[0]?.[0]).toThrow(fault);
});

test('a listener that is added while another is called is called once for that state', () => {
  const { status, set } = createStatus();
  const seen: string[] = [];
  let added = false;
  status.subscribe(({ state }) => {
    if (state !== 'downloading' || added) return;
    added = true;
    status.subscribe((value) => void seen.push(value.state));
  });
  set(READING);
  expect(seen).toEqual(['downloading']);
});

test('when a listener changes the state, the listeners after it get the newest state last', () => {
  const { status, set } = createStatus();
  const seen: string[] = [];
  status.subscribe(({ state }) => state === 'downloading' && set({ state: 'idle' }));
  status.subscribe(({ state }) => void seen.push(state));
  set(READING);
  expect(seen.at(-1)).toBe('idle');
});

test('subscribe works without its object, and each subscription ends by itself', () => {
  const { status, set } = createStatus();
  const { subscribe } = status;
  const listener = vi.fn();
  const unsubscribes = [subscribe(listener), subscribe(listener)];
  unsubscribes[0]!();
  unsubscribes[0]!();
  listener.mockClear();
  set(READING);
  expect(listener.mock.calls).toEqual([[READING]]);
});
