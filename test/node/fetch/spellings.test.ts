/** An image must not reach an intercepted host by another spelling of its URL. */
import { describe, expect, it } from 'vitest';
import { createFetch } from '../../../src/fetch/intercept.ts';
import { ANSWER, engineOf, partsOf } from '../job-parts.ts';

const BODY = JSON.stringify({ model: 'glimpse', messages: [{ role: 'user', content: 'hi' }] });

async function isPassedOn(input: RequestInfo | URL, intercept: string): Promise<boolean> {
  let passed = false;
  const fetch = createFetch({
    intercept: [intercept],
    model: async () => 'glimpse',
    limits: { requestBytes: 1000, imageBytes: 1000, images: 3, pixels: 1e6 },
    fetch: async () => {
      passed = true;
      return new Response();
    },
    engine: engineOf(() => partsOf(...ANSWER)),
  });
  const { status } = await fetch(input, { method: 'POST', body: BODY });
  if (!passed) expect(status).toBe(200);
  return passed;
}

let state = 12;
const random = (below: number): number => (state = (state * 48271) % 0x7fffffff) % below;
const pick = (choices: readonly string[]): string => choices[random(choices.length)] ?? '';

/** Other characters that URL parsers and IDNA read as this one. */
function variant(character: string): string {
  const code = character.charCodeAt(0);
  const escaped = code < 0x80 ? `%${code.toString(16)}` : encodeURIComponent(character);
  const wide = code < 0x80 ? [String.fromCharCode(code + 0xfee0)] : ['u\u0308'];
  const dot = character === '.' ? ['\u3002', '\uff0e', '\uff61'] : wide;
  return pick([character, character, character, character.toUpperCase(), escaped, `${character}\u00ad`, ...dot]);
}

function spelling(host: string, path: string): string {
  const scheme = Array.from(pick(['https', 'http']), (one) => pick([one, one.toUpperCase()])).join('');
  const slashes = pick(['//', '/', '\\\\', '/\\', '', '////']);
  const user = pick(['', '', 'user@', 'user:secret@', '@', ':@', 'https%3A%2F%2Fother.example@']);
  const name = Array.from(host, variant).join('');
  const dots = pick(['', '', '.', '..', '\u3002', '%2e']);
  const port = pick(['', '', ':', ':443', ':80', ':8443', ':00443']);
  const url = `${scheme}:${slashes}${user}${name}${dots}${port}${path}${pick(['', '?a=b', '#c', '/'])}`;
  const at = random(url.length);
  // Tabs and line ends are removed wherever they are, blanks at the ends.
  return `${pick(['', ' ', '\n'])}${url.slice(0, at)}${pick(['', '\t', '\r\n'])}${url.slice(at)}${pick(['', ' '])}`;
}

it('no spelling of an intercepted host is passed on', async () => {
  const hosts = ['integrate.api.nvidia.com', 'm\u00fcnchen.example', 'xn--mnchen-3ya.example'];
  const missed: string[] = [];
  let tried = 0;
  while (tried < 2000) {
    const host = hosts[random(hosts.length)] ?? '';
    const url = spelling(host, '/v1/chat/completions');
    // A few combinations are no URLs; the native fetch throws for them.
    if (!URL.canParse(url)) continue;
    tried++;
    if (await isPassedOn(url, `https://${host}`)) missed.push(url);
  }
  expect(missed).toEqual([]);
});

describe('addresses', () => {
  it.each([
    ['http://127.0.0.1', 'http://127.1'],
    ['http://127.0.0.1', 'http://2130706433'],
    ['http://127.0.0.1', 'http://0x7f.0.0.01'],
    ['http://127.0.0.1:8000', 'http://127.0.0.1.:8000'],
    ['http://10.0.0.5:8000', 'https://[::ffff:10.0.0.5]:8000'],
    ['http://10.0.0.5:8000', 'http://[0:0:0:0:0:FFFF:0a00:0005]:8000'],
    ['http://[::ffff:a00:5]', 'http://10.0.0.5'],
    ['http://[::1]:8000', 'http://[0:0:0:0:0:0:0:1]:8000'],
    ['http://localhost:8000', 'http://LOCALHOST..:8000'],
  ])('of %s, %s is another spelling', async (intercept, origin) => {
    expect(await isPassedOn(`${origin}/v1/chat/completions`, intercept)).toBe(false);
  });
});

it.each([
  'https://api.nvidia.com',
  'https://integrate.api.nvidia.com.evil.example',
  'https://evilintegrate.api.nvidia.com',
  'https://integrate-api.nvidia.com',
  'https://integrate.api.nvidia.com@evil.example',
  'https://integrate.api.nvidia.com%40evil.example@evil.example',
  'https://evil.example/https://integrate.api.nvidia.com',
  'https://evil.example?https://integrate.api.nvidia.com/',
  'https://evil.example\\@integrate.api.nvidia.com',
  // A Cyrillic letter.
  'https://int\u0435grate.api.nvidia.com',
])('%s is another host', async (origin) => {
  expect(await isPassedOn(`${origin}/v1/chat/completions`, 'https://integrate.api.nvidia.com')).toBe(true);
});

it('a Request of a subclass is read as one, whatever it calls itself', async () => {
  class Named extends Request {
    get [Symbol.toStringTag](): string {
      return 'Named';
    }
  }
  const request = new Named('https://integrate.api.nvidia.com/v1/chat/completions', { method: 'POST' });
  expect(await isPassedOn(request, 'https://integrate.api.nvidia.com')).toBe(false);
});
