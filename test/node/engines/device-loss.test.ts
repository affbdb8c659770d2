import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { glimpse } from '../../../models/glimpse.ts';
import { onnxEngine } from '../../../worker/engines/onnx/onnx-engine.ts';
import { withDeviceGuard } from '../../../worker/webgpu/device-guard.ts';
import { NearsightError } from '../../../src/protocol/errors.ts';
import { fakeAdapter } from '../webgpu/fake-gpu.ts';
import { diskFiles } from './disk-store.ts';

/** What onnxruntime does when it is asked for a session. */
let create = (): Promise<unknown> => new Promise(() => {});

vi.mock('../../../worker/onnx/ort.ts', () => ({
  threadsFor: () => 1,
  loadOrt: async () => ({ InferenceSession: { create: () => create() }, Tensor: Object }),
}));

let gpu: ReturnType<typeof fakeAdapter>;

beforeEach(() => {
  gpu = fakeAdapter();
  vi.stubGlobal('navigator', { gpu: { requestAdapter: async () => gpu.adapter } });
});

afterEach(() => {
  vi.unstubAllGlobals();
});

function open(): Promise<unknown> {
  const request = { spec: glimpse, device: 'webgpu', assets: {} } as const;
  return onnxEngine.open(request, { files: diskFiles, emit: () => {}, signal: new AbortController().signal });
}

test('a failure caused by a device loss is reported as the loss, which is announced later', async () => {
  create = () => {
    setTimeout(gpu.destroy, 50);
    return Promise.reject(new Error('a buffer is invalid'));
  };
  await expect(open()).rejects.toMatchObject({ code: 'device_lost' });
});

test('a failure on a device that is not lost is load_failed', async () => {
  create = () => Promise.reject(new Error('no such operator'));
  await expect(open()).rejects.toMatchObject({
    code: 'load_failed',
    message: expect.stringContaining('no such operator') as string,
  });
});

test.each([
  ['of the request', 'unreadable_image', false],
  ['of a self-test', 'unsupported_device', true],
  ['of the model', 'load_failed', true],
] as const)('an error %s waits for a device fault only if a fault can be its cause', async (_, code, waits) => {
  const fault = new AbortController();
  const loss = new NearsightError('device_lost', 'gone');
  setTimeout(() => fault.abort(loss), 20);
  const failing = withDeviceGuard(fault.signal, new AbortController().signal, async () => {
    throw new NearsightError(code, 'first');
  });
  await expect(failing).rejects.toMatchObject({ code: waits ? 'device_lost' : code });
});

// Last: what never settles keeps onnxruntime's turn.
test('a device that is lost while a session is created, which never settles, ends the load', async () => {
  create = () => {
    setTimeout(gpu.destroy);
    return new Promise(() => {});
  };
  await expect(open()).rejects.toMatchObject({ code: 'device_lost' });
});
