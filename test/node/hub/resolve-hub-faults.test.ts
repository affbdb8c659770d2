import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import listed from '../../../models/glimpse/files.json' with { type: 'json' };
import type { HubModel } from '../../../src/protocol/model-spec.ts';
import { resolveHub } from '../../../worker/hub/resolve-hub.ts';
import { type Hub, startHub } from '../../hub/hub-server.ts';

const COMMIT = '1234567890123456789012345678901234567890';
let hub: Hub;

beforeAll(async () => {
  const files = Object.fromEntries(listed.map(({ path }) => [path, `models/glimpse/${path}`]));
  hub = await startHub({
    repositories: [{ id: 'org/good', revisions: { [COMMIT]: files }, branches: { main: COMMIT } }],
  });
});

afterAll(() => hub.close());

afterEach(() => hub.clearFaults());

const resolve = (change: Partial<HubModel> = {}, options: { fetch?: typeof fetch; timeout?: number } = {}) => {
  const model = { hub: 'org/good', baseURL: hub.origin, ...change };
  return resolveHub(model, { modelTypes: ['idefics3'], signal: new AbortController().signal, ...options });
};

describe('on the way', () => {
  it.each<[string, Parameters<Hub['fault']>[0], string, string]>([
    [
      'a flipped bit',
      { kind: 'flip-bit', byte: 5, path: 'tokenizer.json' },
      'integrity',
      'tokenizer.json is not the file',
    ],
    ['a file cut short', { kind: 'truncate', size: 5, path: 'config.json' }, 'integrity', '5 of'],
    ['a longer file', { kind: 'append', bytes: 1, path: 'config.json' }, 'load_failed', 'that are accepted'],
    [
      'a connection that breaks',
      { kind: 'cut', after: 5, path: 'tokenizer.json' },
      'load_failed',
      'The network failed',
    ],
    ['a log-in page', { kind: 'html', path: /config.json$/ }, 'load_failed', 'answered with a web page'],
    ['a log-in page for the API', { kind: 'html', path: /tree/ }, 'load_failed', 'answered with a web page'],
    [
      'too many requests',
      { kind: 'status', status: 429, retryAfter: 7, path: /tree/ },
      'load_failed',
      'try again in 7 s',
    ],
    ['a failing server', { kind: 'status', status: 503, path: /revision/ }, 'load_failed', 'The server failed'],
    ['a redirect loop', { kind: 'redirect-loop', path: 'config.json' }, 'load_failed', 'Could not fetch'],
    ['a stall', { kind: 'stall', after: 3, path: 'config.json' }, 'load_failed', 'nothing came for 0.3 s'],
  ])('%s ends in %s', async (_, fault, code, message) => {
    hub.fault(fault);
    const options = fault.kind === 'stall' ? { timeout: 300 } : {};
    await expect(resolve({}, options)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message) as string,
    });
    hub.clearFaults();
    expect((await resolve()).spec.id).toBe('org/good');
  });

  it('another commit under the same name is refused', async () => {
    const other = 'f'.repeat(40);
    const fetching = async () => Response.json({ sha: COMMIT });
    await expect(resolve({ revision: other }, { fetch: fetching })).rejects.toMatchObject({
      code: 'integrity',
    });
    await expect(resolve({}, { fetch: async () => Response.json({ sha: 'main' }) })).rejects.toThrow('does not say');
  });

  it('an abort ends it with its reason', async () => {
    hub.fault({ kind: 'stall', after: 0, path: /tree/ });
    const controller = new AbortController();
    const model = { hub: 'org/good', baseURL: hub.origin };
    const resolving = resolveHub(model, { modelTypes: ['idefics3'], signal: controller.signal });
    setTimeout(() => controller.abort(new Error('not needed any more')), 100);
    await expect(resolving).rejects.toThrow('not needed any more');
  });
});
