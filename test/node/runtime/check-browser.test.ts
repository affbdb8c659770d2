import { afterEach, expect, test, vi } from 'vitest';
import type { LoadRequest } from '../../../src/protocol/calls.ts';
import { NearsightError } from '../../../src/protocol/errors.ts';
import { readPort } from '../../../src/protocol/port.ts';
import { checkBrowser } from '../../../worker/check-browser.ts';
import { memoryStore } from '../../browser/fake-engine/memory-store.ts';
import { createRuntime } from '../../../worker/runtime.ts';
import { fakeEngine, fakeModel } from '../../browser/fake-engine/fake-engine.ts';

afterEach(() => vi.unstubAllGlobals());

/** What stands for a feature that Node has no more than the browser in question. */
function without(name: string): void {
  vi.stubGlobal(name, undefined);
  Reflect.deleteProperty(globalThis, name);
}

test('a browser with SIMD and OffscreenCanvas passes; another is told what it lacks', () => {
  expect(checkBrowser).toThrow(/no OffscreenCanvas/);
  vi.stubGlobal('OffscreenCanvas', Object);
  checkBrowser();
  vi.stubGlobal('WebAssembly', { ...WebAssembly, validate: () => false });
  expect(checkBrowser).toThrow(/no SIMD/);
  const Module = function (): never {
    throw new Error('Refused to compile');
  };
  vi.stubGlobal('WebAssembly', { validate: () => true, Module });
  expect(checkBrowser).toThrow(/wasm-unsafe-eval/);
  without('WebAssembly');
  expect(checkBrowser).toThrow(/no WebAssembly/);
});

test('what the check refuses is a verdict of probe(), and ends a load before an engine is opened', async () => {
  const open = vi.fn(fakeEngine.open);
  const refusal = new NearsightError('unsupported_device', 'No.');
  const check = (): never => {
    throw refusal;
  };
  const runtime = createRuntime([{ ...fakeEngine, open }], memoryStore, check);
  const request: LoadRequest = { model: fakeModel, allowUnverified: false, device: 'wasm', assets: {}, waiting: 4 };
  expect(await runtime.probe(request)).toEqual({ verdict: 'no', reason: 'No.' });
  const { port1, port2 } = new MessageChannel();
  const parts = readPort(port1, { sent: Promise.resolve(), dead: new AbortController().signal });
  runtime.load(request, port2);
  await expect(parts.read()).rejects.toMatchObject({ code: 'unsupported_device', message: 'No.' });
  expect(open).not.toHaveBeenCalled();
});
