import type { Session } from '../host/session.ts';
import { readImage, type ImageRules } from '../media/load-images.ts';
import { GREEDY } from '../protocol/job.ts';
import { readAsk, type AskOptions, type ImageInput } from './options.ts';

/** What `ask` needs of its nearsight. */
export interface AskContext {
  session: Pick<Session, 'generate'>;
  rules: ImageRules & { pixels: number };
}

/** Answers one question about one image or several; see `Nearsight.ask`. */
export async function* ask(
  { session, rules }: AskContext,
  image: ImageInput | readonly ImageInput[],
  question: string,
  options: AskOptions = {},
): AsyncGenerator<string, void> {
  const {
    images,
    maxTokens,
    temperature = GREEDY.temperature,
    schema,
    signal,
  } = readAsk(image, question, options, rules.images);
  const readAsPart = async (one: (typeof images)[number]) => {
    const bytes = await readImage(one.image, rules, signal, one.param);
    return { type: 'image', bytes, detail: 'auto', param: one.param } as const;
  };
  const job = Promise.all(images.map(readAsPart)).then((parts) => ({
    turns: [{ role: 'user' as const, parts: [...parts, { type: 'text' as const, text: question }] }],
    maxTokens,
    stop: [],
    sampling: { ...GREEDY, temperature },
    choices: 1,
    constraint: schema === undefined ? undefined : { type: 'json' as const, schema, param: 'schema' },
    cache: true,
    limits: { pixels: rules.pixels },
  }));
  const parts = await session.generate(job, signal);
  try {
    for (let next = await parts.read(); !next.done; next = await parts.read()) {
      // The model may be far ahead of the reader.
      signal?.throwIfAborted();
      if (next.value.type === 'text' && next.value.text) yield next.value.text;
    }
  } finally {
    // Stops the decode when the caller breaks out of the loop; after the end it does nothing.
    await parts.cancel();
  }
}
