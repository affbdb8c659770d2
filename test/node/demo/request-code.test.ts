import { createNearsight, type NearsightOptions } from 'nearsight';
import { afterEach, expect, test, vi } from 'vitest';
import { formatOf } from '../../../demo/answer-format.ts';
import { type Offer, offers } from '../../../demo/offers.ts';
import { requestCode } from '../../../demo/request-code.ts';

afterEach(() => vi.unstubAllGlobals());

/** Runs the code with a client that answers `"yes"`. Returns the model's options, and the request. */
async function run(code: string) {
  vi.stubGlobal('document', { images: [{ src: 'https://page.example/image.png' }] });
  vi.stubGlobal('console', { ...console, log: () => {} });
  const seen: { options?: NearsightOptions; request?: { model: string } } = {};
  class OpenAI {
    readonly chat = {
      completions: {
        create: async (request: { model: string }) => {
          seen.request = request;
          return { choices: [{ message: { content: '"yes"' } }] };
        },
      },
    };
  }
  const names: Record<string, unknown> = {
    OpenAI,
    createNearsight: (options: NearsightOptions) => createNearsight((seen.options = options)),
  };
  for (const [, name = '', from = ''] of code.matchAll(/^import \{ (\w+) \} from '(nearsight\/\w+)';$/gm)) {
    const module: Record<string, unknown> = await import(from);
    expect(module).toHaveProperty(name);
    names[name] = module[name];
  }
  const body = code.replaceAll(/^import .*$/gm, '');
  // oxlint-disable-next-line typescript/no-implied-eval
  const runs: unknown = new Function(...Object.keys(names), `return (async () => {${body}})()`);
  if (typeof runs === 'function') await runs(...Object.values(names));
  return seen;
}

test.each(offers.map((offer): [string, Offer] => [offer.id, offer]))(
  'the code for %s makes that model, and asks it',
  async (id, offer) => {
    const code = requestCode(offer, "What's this?", formatOf('{"enum": ["yes", "no"]}'));
    const { options, request } = await run(code);
    expect(options).toEqual({ model: offer.model });
    expect(request).toMatchObject({
      model: id,
      guided_choice: ['yes', 'no'],
      messages: [{ content: [{ type: 'image_url' }, { type: 'text', text: "What's this?" }] }],
    });
    const made = createNearsight({ model: offer.model });
    const models = await made.fetch('https://integrate.api.nvidia.com/v1/models');
    expect(await models.json()).toMatchObject({ data: [{ id }] });
  },
);
