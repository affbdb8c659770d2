/** Times what a visitor's device can do with the loaded model, in under a minute: through `fetch` alone, so nothing here knows the page. */

// The URL of NVIDIA's NIM API. nearsight intercepts it; nothing is sent there.
const ENDPOINT = 'https://integrate.api.nvidia.com/v1/chat/completions';

/** Under a minute. */
const LIMIT_MS = 55_000;
/** A row takes no further sample after this. */
const ROW_MS = 12_000;
const SAMPLES = 3;

/** Tokens of the short answer and of the long one, whose difference in time is that of the tokens between them. */
const SHORT = 4;
const LONG = 36;
/** The long answer's on devices whose tokens take longer than {@link SLOW_TOKEN_MS}. */
const LONG_IF_SLOW = 12;
const SLOW_TOKEN_MS = 250;

const FILLER = ' and then a dog';
const FIRST_QUESTION = 'What is this?';
const SECOND_QUESTION = 'And what is next to it?';

export type Measure = 'image' | 'follow-up' | 'decode';

/** A measure with its samples. */
export interface Row {
  measure: Measure;
  /** Tokens of the prompt; of a decoded token, of the context before it. */
  tokens: number;
  /** The median of the samples: to the first token, or for each decoded one. */
  ms: number;
  samples: number[];
}

/** What was measured. */
export interface Measurement {
  rows: Row[];
  /** What there was no time left for. */
  leftOut: string[];
}

export interface MeasureOptions {
  fetch: typeof globalThis.fetch;
  model: string;
  /** Lengths of the context at which tokens are decoded. */
  contexts: readonly number[];
  /** Gives the URL of an image that was never seen before. */
  newImage: () => Promise<string>;
  /** Called with the row that is measured next, and with each that is done. */
  onProgress: (next: string, rows: readonly Row[]) => void;
  signal: AbortSignal;
  /** The clock, in milliseconds. */
  now?: () => number;
  /** Aborts when the measurement ends, whatever is left. @defaultValue after {@link LIMIT_MS} */
  timeOver?: AbortSignal;
}

interface Turn {
  role: 'user' | 'assistant';
  content: unknown;
}

interface Answer {
  text: string;
  promptTokens: number;
  firstMs: number;
  totalMs: number;
}

/**
 * Measures, and gives what was measured when the time is over.
 *
 * @throws what a request fails with; the signal's reason when it aborts
 */
export async function measure(options: MeasureOptions): Promise<Measurement> {
  return new Run(options).measure();
}

class Run {
  readonly #options: MeasureOptions;
  readonly #now: () => number;
  readonly #rows: Row[] = [];
  readonly #timeOver: AbortSignal;
  readonly #signal: AbortSignal;
  /** The last number that a new text begins with. */
  #number = 0;

  constructor(options: MeasureOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#timeOver = options.timeOver ?? AbortSignal.timeout(LIMIT_MS);
    this.#signal = AbortSignal.any([options.signal, this.#timeOver]);
  }

  async measure(): Promise<Measurement> {
    const { contexts, signal } = this.#options;
    const steps: [name: string, run: () => Promise<void>][] = [
      ['questions about new images', () => this.#images()],
      ...contexts.map((tokens): [string, () => Promise<void>] => [
        `answers after ${tokens} tokens`,
        () => this.#decode(tokens),
      ]),
    ];
    const leftOut: string[] = [];
    for (const [name, run] of steps) {
      this.#options.onProgress(name, this.#rows);
      try {
        this.#timeOver.throwIfAborted();
        await run();
      } catch (error) {
        signal.throwIfAborted();
        if (!this.#timeOver.aborted) throw error;
        leftOut.push(name);
      }
    }
    return { rows: this.#rows, leftOut };
  }

  /** To the first token about a new image, and of a second question about it. */
  async #images(): Promise<void> {
    const started = this.#now();
    const image: Sample[] = [];
    const followUp: Sample[] = [];
    try {
      while (image.length < SAMPLES && this.#mayGoOn(started, image.length)) {
        const url = await this.#options.newImage();
        const first: Turn = {
          role: 'user',
          content: [
            { type: 'image_url', image_url: { url, detail: 'low' } },
            { type: 'text', text: FIRST_QUESTION },
          ],
        };
        const answer = await this.#ask([first], 5);
        image.push({ ms: answer.firstMs, tokens: answer.promptTokens });
        const next = await this.#ask(
          [first, { role: 'assistant', content: answer.text }, { role: 'user', content: SECOND_QUESTION }],
          1,
        );
        followUp.push({ ms: next.firstMs, tokens: next.promptTokens });
      }
    } finally {
      // What there was time for.
      this.#add('image', image);
      this.#add('follow-up', followUp);
    }
  }

  /** A decoded token. Text comes several tokens at a time, so it is a difference of two answers to one prompt. */
  async #decode(tokens: number): Promise<void> {
    const started = this.#now();
    const samples: Sample[] = [];
    try {
      const words = await this.#textOf(tokens);
      // Reads the prompt, which the answers below find in the cache.
      const first = await this.#ask([{ role: 'user', content: words }], 2 * SHORT);
      const pace = (first.totalMs - first.firstMs) / (2 * SHORT - 1);
      const long = pace > SLOW_TOKEN_MS ? LONG_IF_SLOW : LONG;
      while (samples.length < SAMPLES && this.#mayGoOn(started, samples.length)) {
        const more = await this.#ask([{ role: 'user', content: words }], long);
        const less = await this.#ask([{ role: 'user', content: words }], SHORT);
        // On a busy device the short answer may take longer.
        const ms = Math.max(0, more.totalMs - less.totalMs) / (long - SHORT);
        samples.push({ ms, tokens: more.promptTokens });
      }
    } finally {
      this.#add('decode', samples);
    }
  }

  /** A new text of about so many tokens, which how long two shorter ones are tells. */
  async #textOf(tokens: number): Promise<string> {
    const text = (fillers: number): string => `${++this.#number}: ${FIRST_QUESTION}${FILLER.repeat(fillers)}`;
    const lengthOf = async (fillers: number): Promise<number> =>
      (await this.#ask([{ role: 'user', content: text(fillers) }], 1)).promptTokens;
    const [four, twelve] = [await lengthOf(4), await lengthOf(12)];
    const each = Math.max(1, twelve - four) / 8;
    return text(Math.max(0, Math.round((tokens - four) / each) + 4));
  }

  #mayGoOn(started: number, samples: number): boolean {
    return samples === 0 || this.#now() - started < ROW_MS;
  }

  #add(measured: Measure, samples: readonly Sample[]): void {
    const [first] = samples;
    if (!first) return;
    const times = samples.map(({ ms }) => ms);
    this.#rows.push({ measure: measured, tokens: first.tokens, ms: median(times), samples: times });
  }

  /** An answer of exactly so many tokens: the model's end tokens do not end it. */
  async #ask(messages: readonly Turn[], tokens: number): Promise<Answer> {
    const { fetch, model } = this.#options;
    const asked = this.#now();
    const response = await fetch(ENDPOINT, {
      method: 'POST',
      // Whatever the page allows, a measurement of this device goes nowhere else.
      headers: { 'content-type': 'application/json', 'x-nearsight-policy': 'local-only' },
      signal: this.#signal,
      body: JSON.stringify({
        model,
        messages,
        max_tokens: tokens,
        ignore_eos: true,
        stream: true,
        stream_options: { include_usage: true },
      }),
    });
    // The response resolves at the first token.
    const firstMs = this.#now() - asked;
    const body = await response.text();
    const totalMs = this.#now() - asked;
    if (!response.ok) throw new Error(JSON.parse(body).error.message);
    return { ...read(body), firstMs, totalMs };
  }
}

interface Sample {
  ms: number;
  tokens: number;
}

/** The text of an event stream, and how long its prompt was. */
function read(body: string): { text: string; promptTokens: number } {
  let [text, promptTokens] = ['', 0];
  for (const line of body.split('\n')) {
    if (!line.startsWith('data: {')) continue;
    const { choices, usage, error } = JSON.parse(line.slice('data: '.length));
    if (error) throw new Error(error.message);
    text += choices[0]?.delta.content ?? '';
    promptTokens = usage?.prompt_tokens ?? promptTokens;
  }
  return { text, promptTokens };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  return ((sorted[(sorted.length - 1) >> 1] ?? NaN) + (sorted[sorted.length >> 1] ?? NaN)) / 2;
}
