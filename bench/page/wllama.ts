import { image } from './images.ts';
import type { Answer, GgufFiles, Question, Side, Turn } from './side.ts';

/** What is used of `@wllama/wllama`. The server serves its module: it is not part of the page's build. */
interface WllamaModule {
  Wllama: new (
    paths: { default: string },
    config: {
      suppressNativeLog: boolean;
      logger: Record<'debug' | 'log' | 'warn' | 'error', (...words: unknown[]) => void>;
    },
  ) => {
    loadModelFromUrl(source: { url: string; mmprojUrl: string }, parameters: Record<string, unknown>): Promise<void>;
    createChatCompletion(options: Record<string, unknown>): Promise<AsyncIterable<WllamaChunk>>;
  };
}

interface WllamaChunk {
  choices: { delta: { content?: string | null } }[];
  timings?: { cache_n: number; prompt_n: number; predicted_n: number };
}

/** llama.cpp on wasm, in wllama's own worker. Its files come from its store once they were loaded. */
export async function openWllama({ text, mmproj }: GgufFiles, threads: number): Promise<Side> {
  const site = new URL('/', location.href).href;
  const { Wllama }: WllamaModule = await import(/* @vite-ignore */ `${site}wllama/index.js`);
  const silent = (): void => {};
  const logger = { debug: silent, log: silent, warn: silent, error: console.error };
  const wllama = new Wllama({ default: `${site}wllama/wasm/wllama.wasm` }, { suppressNativeLog: true, logger });
  const source = { url: `${site}models/gguf/${text}`, mmprojUrl: `${site}models/gguf/${mmproj}` };
  await wllama.loadModelFromUrl(source, { n_ctx: 4096, n_parallel: 1, n_threads: threads, n_gpu_layers: 0 });

  async function ask({ turns, tokens }: Question): Promise<Answer> {
    const messages = await Promise.all(turns.map(message));
    const askedAt = performance.timeOrigin + performance.now();
    const since = (): number => performance.timeOrigin + performance.now() - askedAt;
    const options = {
      messages,
      max_tokens: tokens,
      temperature: 0,
      ignore_eos: true,
      cache_prompt: true,
      stream: true,
    };
    let firstMs: number | undefined;
    let totalMs = 0;
    let answer = '';
    let timings: WllamaChunk['timings'];
    for await (const chunk of await wllama.createChatCompletion(options)) {
      const content = chunk.choices[0]?.delta.content ?? '';
      answer += content;
      if (content !== '') firstMs ??= since();
      timings = chunk.timings ?? timings;
      totalMs = since();
    }
    if (timings?.predicted_n !== tokens) throw new Error(`asked for ${tokens} tokens, got ${timings?.predicted_n}`);
    const { cache_n: cachedTokens, prompt_n: read } = timings;
    const promptTokens = cachedTokens + read;
    return { askedAt, firstMs: firstMs ?? totalMs, totalMs, promptTokens, cachedTokens, tokens, text: answer };
  }

  const facts = { build: 'plain', threads, device: 'wasm', dtype: text, hardware: `${threads} wasm threads` } as const;
  return { facts, worker: uncounted, ask };
}

async function message({ role, text, image: number }: Turn): Promise<object> {
  if (number === undefined) return { role, content: text };
  const data = await (await image(number)).blob.arrayBuffer();
  return {
    role,
    content: [
      { type: 'image', data },
      { type: 'text', text },
    ],
  };
}

/** Nothing is counted: the page runs its workers as they are. */
const none = (): Promise<never> => Promise.reject(new Error('calls of wllama are not counted'));
const uncounted: Side['worker'] = { take: none, hold: none, idle: none };
