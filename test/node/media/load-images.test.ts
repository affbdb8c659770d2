/** Images by data: URLs, blob: URLs, and URLs of a real server on loopback. */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { readDataURL } from '../../../src/bytes/data-url.ts';
import { inlineImage, loadImages, type ImageRef, type ImageRules } from '../../../src/media/load-images.ts';

const BYTES = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0xff, 0xfb, 0xf0]);
const BASE64 = 'iVBORw0KGgr/+/A=';
const PERCENT = '%89PNG%0D%0A%1A%0A%FF%FB%F0';
const RULES: ImageRules = { imageBytes: 1000, images: 3 };

const refs = (urls: string[]): ImageRef[] => urls.map((url, i) => ({ url, param: `part ${i}` }));

async function images(urls: string[], rules = RULES, signal?: AbortSignal): Promise<(Uint8Array | undefined)[]> {
  const files = await loadImages(refs(urls), rules, signal);
  return urls.map((url) => files.get(url));
}

const refuses = (cause: RegExp | string, param = 'part 0'): object => ({
  code: 'unreadable_image',
  status: 400,
  param,
  message: expect.stringMatching(cause),
});

describe('data: URLs', () => {
  it.each([
    ['base64', `data:image/png;base64,${BASE64}`],
    ['a type that does not exist', `data:image/jpg;base64,${BASE64}`],
    ['no type', `data:;base64,${BASE64}`],
    ['upper case', `DATA:IMAGE/PNG;BASE64,${BASE64}`],
    ['parameters', `data:image/png;charset=utf-8;name=a.png;base64,${BASE64}`],
    ['missing padding', `data:image/png;base64,${BASE64.replace('=', '')}`],
    ['line breaks and blanks', ` \n data:image/png; base64, iVBO\r\nRw0K\tGgr/ +/A=\n`],
    ['escaped base64', `data:image/png;base64,${encodeURIComponent(BASE64)}`],
    ['escaped line breaks', `data:image/png;base64,iVBORw0K%0AGgr%2F%2B/A%3D`],
    ['url-encoded bytes', `data:image/png,${PERCENT}`],
    ['url-encoded bytes in lower case', `data:image/png,${PERCENT.toLowerCase().replace('png', 'PNG')}`],
  ])('with %s', async (_what, url) => {
    expect(await images([url])).toEqual([BYTES]);
  });

  it.each([0, 1, 2])('that are long, with %i bytes after the last whole group', async (rest) => {
    const bytes = Uint8Array.from({ length: 900_000 + rest }, (_, at) => at * at);
    const base64 = Buffer.from(bytes).toString('base64');
    for (const text of [base64, base64.replaceAll('=', ''), base64.replaceAll(/(.{76})/g, '$1\r\n')]) {
      expect(Buffer.compare((await readDataURL(`data:image/png;base64,${text}`)).bytes, bytes)).toBe(0);
    }
  });

  it('that are long are decoded in parts, and before each the thread yields', async () => {
    // Not by what runs between: Node handles many messages of a port in one turn.
    const yields = vi.spyOn(MessagePort.prototype, 'postMessage');
    await readDataURL(`data:image/png;base64,${'A'.repeat(1 << 21)}`);
    expect(yields).toHaveBeenCalledTimes(4);
    yields.mockRestore();
  });

  it('that are long, with padding in the middle, are refused', async () => {
    for (const at of [4, 1 << 19, 1 << 20]) {
      const text = `${'A'.repeat(at - 2)}==${'A'.repeat(1 << 20)}`;
      await expect(readDataURL(`data:image/png;base64,${text}`)).rejects.toThrow('not valid base64');
    }
  });

  it('keep text as UTF-8 and a percent sign that escapes nothing', async () => {
    expect(new TextDecoder().decode((await readDataURL('data:image/x,100%é%zz%2')).bytes)).toBe('100%é%zz%2');
  });

  it.each([
    ['no comma', 'data:image/png;base64', /no comma/],
    ['characters that base64 does not have', 'data:image/png;base64,iVB*', /not valid base64/],
    ['one base64 character too many', 'data:image/png;base64,iVBOR', /not valid base64/],
    ['a broken escape in base64', 'data:image/png;base64,iVB%zz', /not valid base64/],
    ['url-safe base64', 'data:image/png;base64,iVBORw0KGgr_-_A=', /url-safe base64. Write \+ for - and \/ for _/],
    ['a doubled prefix', `data:image/png;base64,data:image/png;base64,${BASE64}`, /it has its prefix twice/],
    ['no bytes', 'data:image/png;base64,', /it is empty/],
    ['an asset of NVCF', 'data:image/png;asset_id,0b9e0b1e-3f4c', /assets live on a server/],
    ['an SVG', `data:image/svg+xml,<svg/>`, /SVG/],
    ['text', 'data:text/plain,hello', /text\/plain/],
    ['JSON', 'data:application/json,{}', /application\/json/],
    ['too much', `data:image/png;base64,${'A'.repeat(1336)}`, /more than 1000 bytes/],
    ['far too much', `data:image/png;base64,${'A'.repeat(1e6)}`, /more than 1000 bytes/],
  ])('with %s are refused', async (_what, url, cause) => {
    await expect(images([url])).rejects.toMatchObject(refuses(cause));
  });

  it.each([
    ['base64', `data:image/png;base64,${'A'.repeat(1332)}`],
    ['url-encoded bytes', `data:image/png;name=a-picture.png,${'%FF'.repeat(999)}`],
  ])('of exactly the limit pass: %s', async (_what, url) => {
    const [part] = await images([url], { ...RULES, imageBytes: 999 });
    expect(part).toHaveLength(999);
    await expect(images([url], { ...RULES, imageBytes: 998 })).rejects.toMatchObject(refuses(/more than 998 bytes/));
  });

  it('with a type that is none of an image are read if their bytes are one', async () => {
    expect(await images([`data:text/plain;base64,${BASE64}`, `data:application/json;base64,${BASE64}`])).toEqual([
      BYTES,
      BYTES,
    ]);
  });

  it('are named in the message where several images are sent', async () => {
    const good = `data:image/png;base64,${BASE64}`;
    await expect(images([good, 'data:image/png;base64,*', good])).rejects.toThrow(
      'The image at part 1 cannot be read: its data: URL is',
    );
  });

  it('without a prefix are refused with what is missing', async () => {
    const message =
      /^The image at part 0 cannot be read: it is base64 without a prefix. Put data:image\/png;base64, before it/;
    await expect(images([BASE64.repeat(8)])).rejects.toMatchObject(refuses(message));
  });

  it('are decoded without fetch', async () => {
    const fetch = vi.spyOn(globalThis, 'fetch');
    await images([`data:image/png;base64,${BASE64}`]);
    expect(fetch).not.toHaveBeenCalled();
    fetch.mockRestore();
  });
});

it('refuses a megabyte of broken url-safe base64 at once', async () => {
  const start = performance.now();
  const rules = { ...RULES, imageBytes: 1e7 };
  const broken = images([`data:image/png;base64,${'-_'.repeat(5e5)}"`], rules);
  await expect(broken).rejects.toMatchObject(refuses(/not valid base64/));
  await expect(images([`data:image/png;base64,${'-_'.repeat(40)}%3D`])).rejects.toMatchObject(refuses(/url-safe/));
  expect(performance.now() - start).toBeLessThan(5000);
});

describe('other schemes', () => {
  afterEach(() => vi.unstubAllGlobals());

  it.each([
    ['file:///etc/passwd', /file: URLs/],
    ['ftp://a.example/a.png', /ftp: URLs/],
    ['javascript:alert(1)', /javascript: URLs/],
    ['cat.png', /not an absolute URL/],
    ['/cat.png', /not an absolute URL/],
    ['', /not an absolute URL/],
    ['https://', /not an absolute URL/],
  ])('%s is refused', async (url, cause) => {
    await expect(images([url])).rejects.toMatchObject(refuses(cause));
  });

  it.each([
    ['chrome-extension://abc/page.html', 'chrome-extension://abc/cat.png'],
    ['capacitor://localhost/', 'Capacitor://localhost/cat.png'],
    ['file:///home/app/index.html', 'file:///home/app/cat.png'],
    ['blob:moz-extension://abc/5f0c', 'moz-extension://abc/cat.png'],
  ])("in %s, %s is read, under every policy, because it is the page's own scheme", async (href, url) => {
    vi.stubGlobal('location', { href });
    const fetch = vi.spyOn(globalThis, 'fetch').mockImplementation(async () => new Response(BYTES));
    expect(await images([url], { ...RULES, allowed: () => false })).toEqual([BYTES]);
    expect(await inlineImage({ url, param: 'part 0' }, 1000)).toMatch(/^data:image\/png;base64,/);
    fetch.mockRestore();
    await expect(images(['s3://bucket/cat.png'])).rejects.toMatchObject(refuses(/s3: URLs/));
    await expect(images(['https://a.example/cat.png'], { ...RULES, allowed: () => false })).rejects.toThrow(/policy/);
  });

  it('becomes base64 in pieces, between which the page handles events', async () => {
    const bytes = Uint8Array.from({ length: 4_000_001 }, (_, at) => at * 7);
    const url = URL.createObjectURL(new Blob([bytes]));
    // Each is a task of its own in browsers; Node handles many in one.
    const yields = vi.spyOn(MessagePort.prototype, 'postMessage');
    const inlined = await inlineImage({ url, param: 'part 0' }, 5e6);
    const count = yields.mock.calls.length;
    yields.mockRestore();
    expect(inlined === `data:image/png;base64,${Buffer.from(bytes).toString('base64')}`).toBe(true);
    expect(count).toBeGreaterThan(1);
  });

  it('blob: is read, and refused once it is revoked', async () => {
    const url = URL.createObjectURL(new Blob([BYTES], { type: 'image/png' }));
    expect(await images([url])).toEqual([BYTES]);
    URL.revokeObjectURL(url);
    await expect(images([url])).rejects.toMatchObject(refuses(/revoked/));
  });
});

describe('https: URLs', () => {
  const requests: { url: string; headers: NodeJS.Dict<string | string[]> }[] = [];
  const answers: Record<string, RequestListener> = {
    '/ok': (_request, response) => response.end(BYTES),
    '/typed': (_request, response) => response.setHeader('content-type', 'IMAGE/PNG; a=b').end(BYTES),
    '/octets': (_request, response) => response.setHeader('content-type', 'application/octet-stream').end(BYTES),
    '/as-text': (_request, response) => response.setHeader('content-type', 'text/plain').end(BYTES),
    '/html': (_request, response) => response.setHeader('content-type', 'text/html; charset=utf-8').end('<p>Log in'),
    '/svg': (_request, response) => response.setHeader('content-type', 'image/svg+xml').end('<svg/>'),
    '/moved': (_request, response) => response.writeHead(302, { location: '/ok' }).end(),
    '/missing': (_request, response) => response.writeHead(404).end('gone'),
    '/empty': (_request, response) => response.end(),
    '/large': (_request, response) => response.setHeader('content-length', 1001).end(new Uint8Array(1001)),
    '/endless': (_request, response) => {
      const timer = setInterval(() => response.write(new Uint8Array(400)), 1);
      response.on('close', () => clearInterval(timer));
      response.on('close', () => requests.push({ url: 'closed', headers: {} }));
    },
    '/silent': () => {},
    '/cut': (_request, response) => {
      response.setHeader('content-length', 100).write(BYTES);
      setTimeout(() => response.destroy(), 5);
    },
  };
  let server: Server;
  let origin = '';

  beforeAll(async () => {
    server = createServer((request, response) => {
      requests.push({ url: request.url ?? '', headers: request.headers });
      answers[request.url ?? '']?.(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  it.each(['/ok', '/typed', '/octets', '/as-text', '/moved'])('%s is read', async (path) => {
    expect(await images([origin + path])).toEqual([BYTES]);
  });

  it.each([
    ['/html', /text\/html/],
    ['/svg', /SVG/],
    ['/missing', /HTTP 404/],
    ['/empty', /it is empty/],
    ['/large', /more than 1000 bytes/],
    ['/endless', /more than 1000 bytes/],
    ['/cut', /could not be read/],
  ])('%s is refused', async (path, cause) => {
    await expect(images([origin + path])).rejects.toMatchObject(refuses(cause));
  });

  it('stops reading at the limit', async () => {
    requests.length = 0;
    await images([`${origin}/endless`]).catch(() => {});
    await expect.poll(() => requests.map(({ url }) => url)).toContain('closed');
  });

  it('of a server that is down are refused with the cause', async () => {
    const error = images(['http://127.0.0.1:1/a.png?token=secret']);
    await expect(error).rejects.toMatchObject({ ...refuses(/could not be read.*CORS/), cause: expect.any(TypeError) });
    await expect(error).rejects.toMatchObject({ message: expect.not.stringContaining('secret') });
  });

  it('are fetched without credentials, and once each', async () => {
    requests.length = 0;
    const fetch = vi.spyOn(globalThis, 'fetch');
    const url = `${origin}/ok`;
    expect(await images([url, url, url])).toEqual([BYTES, BYTES, BYTES]);
    expect(requests).toHaveLength(1);
    expect(fetch.mock.calls[0]?.[1]).toMatchObject({ credentials: 'omit' });
    fetch.mockRestore();
  });

  it('are fetched only if the policy allows it, without redirects', async () => {
    requests.length = 0;
    const allowed = vi.fn((url: URL) => url.pathname !== '/ok');
    const rules = { ...RULES, allowed };
    await expect(images([`${origin}/ok`], rules)).rejects.toMatchObject(refuses(/policy/));
    expect(requests).toEqual([]);
    expect(await images([`${origin}/typed`], rules)).toEqual([BYTES]);
    await expect(images([`${origin}/moved`], rules)).rejects.toMatchObject(refuses(/could not be read/));
    expect(requests.map(({ url }) => url)).toEqual(['/typed', '/moved']);
    expect(await images([`data:;base64,${BASE64}`], { ...RULES, allowed: () => false })).toEqual([BYTES]);
  });

  it('stop at an abort, with its reason', async () => {
    const reason = new Error('enough');
    const caller = new AbortController();
    requests.length = 0;
    const refused = expect(images([`${origin}/silent`], RULES, caller.signal)).rejects.toBe(reason);
    await expect.poll(() => requests.length).toBe(1);
    caller.abort(reason);
    await refused;
    await expect(images([`${origin}/ok`], RULES, AbortSignal.abort(reason))).rejects.toBe(reason);
  });

  it('stop when another image of the request has failed', async () => {
    const asked = images([`${origin}/silent`, `${origin}/missing`]);
    await expect(asked).rejects.toMatchObject(refuses(/HTTP 404/, 'part 1'));
  });
});

describe('a request', () => {
  it('is refused for too many images before any is read', () => {
    const url = `data:;base64,${BASE64}`;
    const message = expect.stringContaining('limits.images');
    const refused = expect.objectContaining({ code: 'invalid_request', param: 'part 3', message });
    expect(() => loadImages(refs([url, url, url, url]), RULES)).toThrow(refused);
  });
});
