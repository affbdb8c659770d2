import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Hub, startHub } from '../../hub/hub-server.ts';

const COMMIT = '1234567890123456789012345678901234567890';
const OLD = 'abcdefabcdefabcdefabcdefabcdefabcdefabcd';
const ID = 'some-org/tiny.model';
const GRAPH = 'onnx/decoder_q4.onnx';
const config = new TextEncoder().encode('{"model_type":"idefics3"}');
const weights = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 7 + (index >> 8)) % 251);
const folder = mkdtempSync(join(tmpdir(), 'nearsight-hub-'));

let hub: Hub;

beforeAll(async () => {
  writeFileSync(join(folder, 'graph.onnx'), weights);
  hub = await startHub({
    repositories: [
      {
        id: ID,
        revisions: {
          [COMMIT]: { 'config.json': config, [GRAPH]: join(folder, 'graph.onnx') },
          [OLD]: { 'config.json': new Uint8Array(3) },
        },
        branches: { main: COMMIT },
        license: 'apache-2.0',
      },
      { id: 'some-org/gated', revisions: { [COMMIT]: {} }, branches: { main: COMMIT }, gated: true },
    ],
    pageSize: 2,
  });
});

afterAll(async () => {
  await hub.close();
  rmSync(folder, { recursive: true });
});

afterEach(() => {
  hub.clearFaults();
  hub.requests.length = 0;
});

const resolve = (path: string, revision = 'main') => `${hub.origin}/${ID}/resolve/${revision}/${path}`;
const get = (path: string, headers: Record<string, string> = {}) => fetch(resolve(path), { headers });
const bytesOf = async (response: Response) => new Uint8Array(await response.arrayBuffer());
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const hashed = (bytes: Uint8Array, kind = 'sha256') => createHash(kind).update(bytes).digest('hex');

describe('files', () => {
  it('sends large files from the other host, behind a signed redirect that says nothing else to a page', async () => {
    const redirect = await fetch(resolve(GRAPH), { redirect: 'manual', headers: { origin: 'http://page.test' } });
    expect(redirect.status).toBe(302);
    expect(redirect.headers.get('x-linked-size')).toBe(String(weights.length));
    expect(redirect.headers.get('x-linked-etag')).toBe(`"${hashed(weights)}"`);
    expect(redirect.headers.get('access-control-allow-origin')).toBe('http://page.test');
    const location = new URL(redirect.headers.get('location') ?? '');
    expect(location.origin).toBe(hub.cdn);
    expect(location.origin).not.toBe(hub.origin);

    const file = await get(GRAPH);
    expect(file.url.startsWith(hub.cdn)).toBe(true);
    expect(hashed(await bytesOf(file))).toBe(hashed(weights));
    expect(file.headers.get('access-control-allow-origin')).toBe('*');
    expect(file.headers.get('access-control-expose-headers')).toBe(
      'Accept-Ranges, Content-Range, Content-Type, Content-Disposition, ETag, X-Cache',
    );
    // The real CDN's ETag looks like a sha256, and is not the file's.
    expect(file.headers.get('etag')).toMatch(/^"[0-9a-f]{64}"$/);
    expect(file.headers.get('etag')).not.toContain(hashed(weights));
    expect(file.headers.get('x-linked-size')).toBeNull();
    expect(file.headers.get('set-cookie')).toBeNull();

    location.searchParams.set('Expires', '1');
    expect((await fetch(location)).status).toBe(403);
  });

  it('sends small files from the same host', async () => {
    const redirect = await fetch(resolve('config.json'), { redirect: 'manual' });
    expect(redirect.status).toBe(307);
    expect(redirect.headers.get('location')).toMatch(/^\/api\/resolve-cache\/models\/some-org\/tiny.model\/1234/);
    const file = await get('config.json');
    expect(new URL(file.url).origin).toBe(hub.origin);
    expect(await bytesOf(file)).toEqual(config);
    expect(file.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect((await bytesOf(await fetch(resolve('config.json', OLD)))).length).toBe(3);
  });

  it('answers ranges, and their conditions', async () => {
    const part = await get(GRAPH, { range: 'bytes=100000-199999' });
    expect(part.status).toBe(206);
    expect(part.headers.get('content-range')).toBe('bytes 100000-199999/300000');
    expect(await bytesOf(part)).toEqual(weights.slice(100_000, 200_000));
    const tail = await get(GRAPH, { range: 'bytes=299990-' });
    expect(await bytesOf(tail)).toEqual(weights.slice(299_990));
    const last = await get(GRAPH, { range: 'bytes=-5' });
    expect(last.headers.get('content-range')).toBe('bytes 299995-299999/300000');
    const beyond = await get(GRAPH, { range: 'bytes=300000-' });
    expect(beyond.status).toBe(416);
    expect(beyond.headers.get('content-range')).toBe('bytes */300000');

    const etag = part.headers.get('etag') ?? '';
    expect((await get(GRAPH, { range: 'bytes=0-9', 'if-range': etag })).status).toBe(206);
    expect((await get(GRAPH, { range: 'bytes=0-9', 'if-range': '"another"' })).status).toBe(200);
    expect((await get(GRAPH, { range: 'bytes=0-9,20-29' })).status).toBe(200);
  });

  it('answers like the hub to what is not there', async () => {
    expect((await get('nothing.json')).status).toBe(404);
    expect((await fetch(resolve('config.json', 'nowhere'))).headers.get('x-error-code')).toBe('RevisionNotFound');
    expect((await fetch(`${hub.origin}/some-org/nothing/resolve/main/config.json`)).status).toBe(401);
    const gated = await fetch(`${hub.origin}/api/models/some-org/gated/revision/main`);
    expect(gated.headers.get('x-error-code')).toBe('GatedRepo');
    expect((await fetch(resolve(GRAPH), { method: 'OPTIONS' })).status).toBe(403);
  });

  it('logs each request with what was sent', async () => {
    await bytesOf(await get(GRAPH, { range: 'bytes=0-9', origin: 'null' }));
    expect(hub.requests).toMatchObject([
      { hop: 'resolve', method: 'GET', file: GRAPH, range: 'bytes=0-9', origin: 'null', status: 302 },
      { hop: 'cdn', method: 'GET', file: GRAPH, range: 'bytes=0-9', status: 206, bytes: 10 },
    ]);
    expect(hub.requests[0]?.path).toBe(`/${ID}/resolve/main/${GRAPH}`);
    const head = await fetch(resolve(GRAPH), { method: 'HEAD' });
    expect(head.headers.get('content-length')).toBe('300000');
    expect(hub.requests.at(-1)).toMatchObject({ method: 'HEAD', bytes: 0 });
  });
});

describe('the API', () => {
  it('lists a commit in pages: sha256 and size of large files, the SHA-1 of small ones', async () => {
    const first = await fetch(`${hub.origin}/api/models/${ID}/tree/main?recursive=true`);
    const next = /<(.+)>; rel="next"/.exec(first.headers.get('link') ?? '')?.[1];
    expect(first.headers.get('access-control-expose-headers')).toContain('Link');
    const second = await fetch(next ?? '');
    expect(second.headers.get('link')).toBeNull();
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${hashed(weights)}\nsize 300000\n`;
    expect([await first.json(), await second.json()].flat()).toEqual([
      {
        type: 'file',
        path: 'config.json',
        size: config.length,
        oid: hashed(Buffer.from(`blob ${config.length}\0${Buffer.from(config).toString()}`), 'sha1'),
      },
      { type: 'directory', path: 'onnx', size: 0, oid: expect.any(String) as string },
      {
        type: 'file',
        path: GRAPH,
        size: 300_000,
        oid: hashed(Buffer.from(`blob ${pointer.length}\0${pointer}`), 'sha1'),
        lfs: { oid: hashed(weights), size: 300_000, pointerSize: pointer.length },
      },
    ]);
    const root = await fetch(`${hub.origin}/api/models/${ID}/tree/main?limit=100`);
    expect((await root.json()) as object[]).toHaveLength(2);
  });

  it('says which commit a branch is at, and the licence', async () => {
    const response = await fetch(`${hub.origin}/api/models/${ID}/revision/main`);
    expect(await response.json()).toMatchObject({ sha: COMMIT, cardData: { license: 'apache-2.0' } });
  });
});

describe('faults', () => {
  const failing = async (path: string) => {
    const response = await get(path);
    return bytesOf(response).then(
      () => 'arrived',
      () => 'failed',
    );
  };

  it('cuts, once, and counts what was sent', async () => {
    hub.fault({ kind: 'cut', after: 70_000, path: GRAPH, nth: 2 });
    expect(await failing(GRAPH)).toBe('arrived');
    expect(await failing(GRAPH)).toBe('failed');
    expect(hub.requests.at(-1)?.bytes).toBe(70_000);
    expect(await failing(GRAPH)).toBe('arrived');
  });

  it('answers a status as often as told, where told', async () => {
    hub.fault({ kind: 'status', status: 429, retryAfter: 1, times: 2, path: /onnx/, hop: 'resolve' });
    const first = await get(GRAPH);
    expect([first.status, first.headers.get('retry-after')]).toEqual([429, '1']);
    expect((await get('config.json')).status).toBe(200);
    expect((await get(GRAPH)).status).toBe(429);
    expect((await get(GRAPH)).status).toBe(200);
    hub.fault({ kind: 'status', status: 503, path: /tree/ });
    expect((await fetch(`${hub.origin}/api/models/${ID}/tree/main`)).status).toBe(503);
  });

  it('stalls and drips', async () => {
    const end = hub.fault({ kind: 'stall', after: 1000 });
    const caller = new AbortController();
    const response = await fetch(resolve(GRAPH), { signal: caller.signal });
    const body = response.arrayBuffer();
    const failed = expect(body).rejects.toMatchObject({ name: 'AbortError' });
    await expect.poll(() => hub.requests.at(-1)?.bytes).toBe(1000);
    caller.abort();
    await failed;
    end();
    hub.fault({ kind: 'drip', bytes: 10, every: 20 });
    const start = performance.now();
    expect(await bytesOf(await get('config.json'))).toEqual(config);
    expect(performance.now() - start).toBeGreaterThan(40);
  });

  it('answers ranges wrongly in each way', async () => {
    const range = { range: 'bytes=10-19' };
    const during = async (fault: Parameters<Hub['fault']>[0]) => {
      const end = hub.fault(fault);
      const response = await get(GRAPH, range);
      end();
      return {
        status: response.status,
        says: response.headers.get('content-range'),
        bytes: hex(await bytesOf(response)),
      };
    };
    expect(await during({ kind: 'ignore-range' })).toEqual({ status: 200, says: null, bytes: hex(weights) });
    expect((await during({ kind: 'refuse-range' })).status).toBe(416);
    const right = weights.slice(10, 20);
    const wrong = await during({ kind: 'wrong-content-range', by: 5 });
    expect(wrong).toEqual({ status: 206, says: 'bytes 15-24/300000', bytes: hex(right) });
    const shifted = await during({ kind: 'shifted-range', by: 5 });
    expect(shifted).toEqual({ status: 206, says: 'bytes 10-19/300000', bytes: hex(weights.slice(15, 25)) });
    const flip = await during({ kind: 'flip-bit', byte: 12, bit: 3 });
    expect(flip.bytes).toBe(hex(right.map((value, index) => (index === 2 ? value ^ 8 : value))));
    expect((await during({ kind: 'truncate', size: 15 })).says).toBe('bytes 10-14/15');
    expect((await during({ kind: 'append', bytes: 7 })).says).toBe('bytes 10-19/300007');
  });

  it('answers with another file, type, page, or without permission', async () => {
    const whole = async (fault: Parameters<Hub['fault']>[0]) => {
      const end = hub.fault(fault);
      const response = await get(GRAPH);
      end();
      return { headers: response.headers, bytes: await bytesOf(response) };
    };
    expect((await whole({ kind: 'truncate', size: 100 })).bytes).toEqual(weights.slice(0, 100));
    const longer = (await whole({ kind: 'append', bytes: 5 })).bytes;
    expect([longer.length, hashed(longer.slice(0, 300_000))]).toEqual([300_005, hashed(weights)]);
    expect((await whole({ kind: 'content-type', type: 'image/png' })).headers.get('content-type')).toBe('image/png');
    const html = await whole({ kind: 'html' });
    expect(html.headers.get('content-type')).toMatch(/^text\/html/);
    expect(new TextDecoder().decode(html.bytes)).toContain('log in');
    expect((await whole({ kind: 'no-cors' })).headers.get('access-control-allow-origin')).toBeNull();
    const tags = [await whole({ kind: 'new-etag' }), await whole({ kind: 'new-etag' })];
    expect(new Set(tags.map(({ headers }) => headers.get('etag'))).size).toBe(2);
    const packed = await whole({ kind: 'gzip' });
    expect(packed.bytes).toEqual(weights);
    expect(packed.headers.get('content-encoding')).toBe('gzip');
    expect(Number(packed.headers.get('content-length'))).not.toBe(weights.length);
    hub.fault({ kind: 'redirect-loop' });
    await expect(get(GRAPH)).rejects.toThrow('fetch failed');
  });

  it('adds up, and ends', async () => {
    hub.fault({ kind: 'flip-bit', byte: 0 });
    hub.fault({ kind: 'truncate', size: 2 });
    expect(await bytesOf(await get(GRAPH))).toEqual(Uint8Array.of((weights[0] ?? 0) ^ 1, weights[1] ?? 0));
    hub.clearFaults();
    expect((await bytesOf(await get(GRAPH))).length).toBe(300_000);
  });
});
