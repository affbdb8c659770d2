import { image } from './images.ts';
import type { Answer, Opening, Question, Side } from './side.ts';
import type { WorkerCall, Reply, TheirFacts } from './transformers-worker.ts';

/** SmolVLM opens in about ten seconds. In Firefox a worker sometimes hangs without an error. */
const OPENING_MS = 180_000;

/** transformers.js in its own worker, like ours. Times are taken on the page for both. */
export async function openTheirs({ model, ...opening }: Opening): Promise<Side> {
  const worker = new Worker(new URL('./transformers-worker.ts', import.meta.url), { type: 'module' });
  const countedWorker = counters.newest();

  function call(request: WorkerCall, onToken = (): void => {}): Promise<Reply> {
    return new Promise((resolve, reject) => {
      worker.onmessage = ({ data }: MessageEvent<Reply>) => {
        if (data.type === 'token') onToken();
        else if (data.type === 'failed') reject(new Error(data.message));
        else resolve(data);
      };
      worker.onerror = ({ message }) => reject(new Error(message));
      worker.postMessage(request);
    });
  }

  async function ask(question: Question): Promise<Answer> {
    const numbers = question.turns.flatMap((turn) => (turn.image === undefined ? [] : [turn.image]));
    const images = await Promise.all(numbers.map(async (number) => (await image(number)).blob));
    const askedAt = performance.timeOrigin + performance.now();
    const since = (): number => performance.timeOrigin + performance.now() - askedAt;
    let firstMs: number | undefined;
    const reply = await call({ type: 'ask', question, images }, () => (firstMs ??= since()));
    if (reply.type !== 'answered') throw new Error('no answer');
    const totalMs = since();
    if (reply.tokens !== question.tokens) throw new Error(`asked for ${question.tokens} tokens, got ${reply.tokens}`);
    return { askedAt, firstMs: firstMs ?? totalMs, totalMs, promptTokens: reply.promptTokens, text: reply.text };
  }

  const site = new URL('/', location.href).href;
  const timeout = new Promise<undefined>((resolve) => setTimeout(resolve, OPENING_MS));
  const opened = await Promise.race([call({ type: 'open', site, folder: model.folder, ...opening }), timeout]);
  if (opened?.type !== 'opened') {
    worker.terminate();
    throw new Error(`transformers.js did not open within ${OPENING_MS / 1000} s`);
  }
  const facts: TheirFacts = opened.facts;
  return {
    facts: { ...facts, build: 'asyncify', hardware: opening.device === 'wasm' ? `${facts.threads} wasm threads` : '' },
    worker: countedWorker,
    ask,
  };
}
