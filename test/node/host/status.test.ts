import { afterEach, expect, test, vi } from 'vitest';
import { createStatus, type StatusValue } from '../../../src/host/status.ts';

const READING: StatusValue = { state: 'downloading', loadedBytes: 1, totalBytes: 2 };
const fault = new Error('a mistake in the page');

afterEach(() => vi.unstubAllGlobals());

test('a listener that throws is reported, and the others hear all', () => {
  const report = vi.fn();
  vi.stubGlobal('reportError', report);
  const { status, set } = createStatus();
  const heard: string[] = [];
  const undo = status.subscribe(() => {
    throw fault;
  });
  status.subscribe(({ state }) => void heard.push(state));
  set(READING);
  expect(heard).toEqual(['idle', 'downloading']);
  // It stays subscribed after its first call, until it is undone.
  expect(report.mock.calls).toEqual([[fault], [fault]]);
  undo();
  set({ state: 'idle' });
  expect(report).toHaveBeenCalledTimes(2);
});

test('where there is no reportError it is an uncaught error', () => {
  vi.stubGlobal('reportError', undefined);
  const later = vi.fn();
  vi.stubGlobal('setTimeout', later);
  createStatus().status.subscribe(() => {
    throw fault;
  });
  expect(later.mock.calls[0]?.[0]).toThrow(fault);
});

test('nobody is left with an older state when a listener changes it', () => {
  const { status, set } = createStatus();
  const heard: string[] = [];
  status.subscribe(({ state }) => state === 'downloading' && set({ state: 'idle' }));
  status.subscribe(({ state }) => void heard.push(state));
  set(READING);
  expect(heard.at(-1)).toBe('idle');
});

test('subscribe works without its object, and each subscription has its own undo', () => {
  const { status, set } = createStatus();
  const { subscribe } = status;
  const listener = vi.fn();
  const undos = [subscribe(listener), subscribe(listener)];
  undos[0]!();
  undos[0]!();
  listener.mockClear();
  set(READING);
  expect(listener.mock.calls).toEqual([[READING]]);
});
