import { beforeAll, describe, expect, test } from 'vitest';
import { glimpse } from '../../../models/glimpse.ts';
import {
  GREEDY,
  type ChatJob,
  type Part,
  type Sampling,
  type TokenLogprob,
  type TokenRules,
} from '../../../src/protocol/job.ts';
import type { Engine, EngineKind, OpenOptions } from '../../../worker/engines/engine.ts';
import { chatJob } from './chat-job.ts';
import { assets } from './dawn-engine.ts';
import { diskFiles } from './disk-store.ts';

const SAMPLED: Sampling = { ...GREEDY, temperature: 1.5, seed: 11 };

/** What every engine must do with a job, on a model that both can run. */
export function testEngine(kind: EngineKind): void {
  let engine: Engine;

  const open = (emit: OpenOptions['emit']): Promise<Engine> => {
    const request = { spec: glimpse, device: 'wasm', assets } as const;
    return kind.open(request, { files: diskFiles, emit, signal: new AbortController().signal });
  };

  beforeAll(async () => {
    const steps: number[] = [];
    engine = await open((part) => part.state === 'preparing' && steps.push(part.done / part.of));
    expect(steps).toEqual([0.25, 0.5, 0.75, 1]);
  }, 60_000);

  async function answer(changes: Partial<ChatJob> = {}, signal = new AbortController().signal): Promise<Part[]> {
    const parts: Part[] = [];
    await engine.answer(chatJob(changes), (part) => parts.push(part), signal);
    return parts;
  }

  function textOf(parts: Part[], choice = 0): string {
    return parts.map((part) => (part.type === 'text' && part.choice === choice ? part.text : '')).join('');
  }

  function entriesOf(parts: Part[]): TokenLogprob[] {
    return parts.flatMap((part) => (part.type === 'text' ? (part.logprobs ?? []) : []));
  }

  /** Greedy, but never the end token: as many tokens as allowed. */
  const ENDLESS: Sampling = { ...GREEDY, logitBias: [[1279, -100]] };

  describe('an answer', () => {
    test('consists of start, text, one finish and usage, with the counts', async () => {
      const parts = await answer({ sampling: ENDLESS });
      expect(parts[0]).toMatchObject({ type: 'start', cachedTokens: 0, device: 'wasm' });
      expect(parts.at(-2)).toEqual({ type: 'finish', choice: 0, reason: 'length' });
      expect(parts.at(-1)).toMatchObject({ type: 'usage', cachedTokens: 0, completionTokens: 12 });
      expect(new Set(parts.slice(1, -2).map(({ type }) => type))).toEqual(new Set(['text']));
    });

    test('ends at the end token, which is counted and not shown', async () => {
      const parts = await answer({ cache: false, sampling: { ...GREEDY, logitBias: [[1279, 100]] } });
      expect(parts.slice(1)).toEqual([
        { type: 'finish', choice: 0, reason: 'stop' },
        {
          type: 'usage',
          promptTokens: parts[0]?.type === 'start' ? parts[0].promptTokens : NaN,
          cachedTokens: 0,
          completionTokens: 1,
        },
      ]);
    });

    test('that ends in a trap of a wasm module ends the worker, and so does the next one: the error of an aborted answer is not delivered', async () => {
      const crashing = await open(() => {});
      const trap = (): never => {
        throw new WebAssembly.RuntimeError('unreachable');
      };
      const crashed = { code: 'worker_crashed', message: expect.stringContaining('unreachable') };
      const { signal } = new AbortController();
      await expect(crashing.answer(chatJob(), trap, signal)).rejects.toMatchObject(crashed);
      await expect(crashing.answer(chatJob(), () => {}, signal)).rejects.toMatchObject(crashed);
      await crashing.close();
    });

    test('ends before a stop string', async () => {
      const whole = textOf(await answer({ sampling: ENDLESS }));
      const stop = whole.slice(3, 6);
      const parts = await answer({ sampling: ENDLESS, stop: [stop] });
      expect(textOf(parts)).toBe(whole.slice(0, whole.indexOf(stop)));
      expect(parts.at(-2)).toEqual({ type: 'finish', choice: 0, reason: 'stop' });
    });

    test('carries the log probabilities of each token, with its bytes and the most likely alternatives', async () => {
      const parts = await answer({ sampling: ENDLESS, topLogprobs: 3 });
      const entries = entriesOf(parts);
      expect(entries).toHaveLength(12);
      for (const { token, bytes, logprob, top } of entries) {
        expect(new TextDecoder().decode(Uint8Array.from(bytes))).toBe(token);
        expect(top).toHaveLength(3);
        expect(logprob).toBeLessThanOrEqual(top[0]?.logprob ?? NaN);
        expect(top.reduce((sum, each) => sum + Math.exp(each.logprob), 0)).toBeLessThanOrEqual(1);
      }
      // Where the token is the likeliest, it is written in the same way, without the space at the beginning, too.
      const likeliest = entries.filter(({ logprob, top }) => logprob === top[0]?.logprob);
      expect(likeliest[0]).toBe(entries[0]);
      expect(likeliest.map(({ top }) => top[0]?.token)).toEqual(likeliest.map(({ token }) => token));
    });

    test('equals the joined tokens of its log probabilities: without the leading space, and up to a stop string', async () => {
      const whole = await answer({ sampling: ENDLESS, topLogprobs: 0, maxTokens: 40 });
      const text = textOf(whole);
      const stop = text.slice(text.length / 2, text.length / 2 + 4);
      const stopped = await answer({ sampling: ENDLESS, topLogprobs: 0, maxTokens: 40, stop: [stop] });
      expect(textOf(stopped)).toBe(text.slice(0, text.indexOf(stop)));
      for (const parts of [whole, stopped]) {
        const entries = entriesOf(parts);
        expect(entries.map(({ token }) => token).join('')).toBe(textOf(parts));
        const bytes = Buffer.from(entries.flatMap((entry) => entry.bytes));
        expect(bytes.toString()).toBe(textOf(parts));
        expect(textOf(parts)).toMatch(/^\S/);
      }
    });

    test('of several choices starts each from the same prompt', async () => {
      const greedy = await answer({ sampling: ENDLESS, choices: 3 });
      expect(textOf(greedy, 1)).toBe(textOf(greedy, 0));
      expect(textOf(greedy, 2)).toBe(textOf(greedy, 0));
      expect(greedy.at(-1)).toMatchObject({ completionTokens: 36 });
      const sampled = await answer({ sampling: { ...SAMPLED, logitBias: ENDLESS.logitBias }, choices: 2 });
      expect(textOf(sampled, 1)).not.toBe(textOf(sampled, 0));
    });

    test('with a seed repeats itself, and with another does not', async () => {
      const sampling = { ...SAMPLED, logitBias: ENDLESS.logitBias };
      const once = textOf(await answer({ sampling }));
      expect(textOf(await answer({ sampling }))).toBe(once);
      expect(textOf(await answer({ sampling: { ...sampling, seed: 12 } }))).not.toBe(once);
    });
  });

  describe('the rules of a request', () => {
    const idsOf = (parts: Part[]): number[] => parts.flatMap((part) => (part.type === 'text' ? (part.ids ?? []) : []));
    const END = 1279;
    /** The end token, always. */
    const ENDED: Sampling = { ...GREEDY, logitBias: [[END, 100]] };

    test('token ids: of the prompt, and of all that was sampled', async () => {
      const parts = await answer({ tokenIds: true });
      expect(parts[0]).toMatchObject({ promptTokens: parts[0]?.type === 'start' ? parts[0].promptIds?.length : NaN });
      expect(idsOf(parts).at(-1)).toBe(END);
      expect(parts.at(-1)).toMatchObject({ completionTokens: idsOf(parts).length });
      expect((await answer())[0]).not.toHaveProperty('promptIds');
    });

    test('only allowed tokens', async () => {
      const allowed = [300, 500, 700];
      const ids = idsOf(await answer({ tokenIds: true, rules: { allowed }, sampling: { ...SAMPLED, temperature: 2 } }));
      expect(ids).toHaveLength(12);
      expect(allowed).toEqual(expect.arrayContaining(ids));
    });

    test('a bad word of several tokens is not completed, in each choice', async () => {
      const whole = idsOf(await answer({ tokenIds: true, sampling: ENDLESS }));
      const word = textOf(await answer({ sampling: ENDLESS, maxTokens: 2 }));
      const parts = await answer({ tokenIds: true, sampling: ENDLESS, rules: { badWords: [word] }, choices: 2 });
      expect(textOf(parts, 0)).not.toContain(word);
      expect(textOf(parts, 1)).toBe(textOf(parts, 0));
      expect(idsOf(parts)).not.toEqual(whole);
    });

    test('a shortest answer, and end tokens that do not end it', async () => {
      const sampling = ENDED;
      const counted = async (rules: TokenRules): Promise<unknown> => (await answer({ sampling, rules })).at(-1);
      expect(await counted({})).toMatchObject({ completionTokens: 1 });
      expect(await counted({ minTokens: 3 })).toMatchObject({ completionTokens: 4 });
      expect(await counted({ ignoreEos: true })).toMatchObject({ completionTokens: 12 });
      expect(await counted({ ignoreEos: true, stopIds: [END], minTokens: 2 })).toMatchObject({ completionTokens: 3 });
    });

    test('that leave no token fail the answer', async () => {
      const asked = answer({ rules: { allowed: [END], minTokens: 1 } });
      await expect(asked).rejects.toMatchObject({ code: 'constraint_unsatisfiable' });
    });
  });

  describe('the prefix cache', () => {
    const CHATS = ['Name a colour.', 'Is it large?', 'What is this?', 'And that?', 'Why is that so?'];
    type Turns = ChatJob['turns'];
    const turn = (role: 'user' | 'assistant', text: string): Turns[number] => ({
      role,
      parts: [{ type: 'text', text }],
    });
    const cached = (parts: Part[]): number => (parts[0]?.type === 'start' ? parts[0].cachedTokens : NaN);

    beforeAll(() => engine.forget());

    test('reads nothing twice, and counts it as cached tokens', async () => {
      const turns = [turn('user', 'Tell me of a stone that has been here since the world began, and of the sea.')];
      const first = await answer({ turns, sampling: ENDLESS });
      expect(cached(first)).toBe(0);
      const again = await answer({ turns, sampling: ENDLESS });
      const promptTokens = again[0]?.type === 'start' ? again[0].promptTokens : NaN;
      // All but the last, whose logits are needed.
      expect(cached(again)).toBe(promptTokens - 1);
      expect(again.at(-1)).toMatchObject({ type: 'usage', promptTokens, cachedTokens: promptTokens - 1 });
      expect(textOf(again)).toBe(textOf(first));
      const followUp = [...turns, turn('assistant', textOf(first)), turn('user', 'Why?')];
      expect(cached(await answer({ turns: followUp, sampling: ENDLESS }))).toBeGreaterThanOrEqual(promptTokens);
    });

    test('does not change answers: random conversations get the same as from a cold start', async () => {
      const chats: Turns[] = [[], [], []];
      const reused: number[] = [];
      for (let round = 0; round < 24; round++) {
        const at = (round * 7 + 3) % 3;
        // Now and then one starts over, or goes another way from its last question on.
        const before = round % 11 === 10 ? [] : round % 5 === 4 ? chats[at]!.slice(0, -2) : chats[at]!;
        const turns = [...before, turn('user', CHATS[(round * round + 2 * at) % CHATS.length]!)];
        const settings = { turns, sampling: round % 2 === 0 ? ENDLESS : { ...SAMPLED, logitBias: ENDLESS.logitBias } };
        const warm = await answer(settings);
        expect(textOf(warm)).toBe(textOf(await answer({ ...settings, cache: false })));
        reused.push(cached(warm));
        chats[at] = [...turns, turn('assistant', textOf(warm))];
      }
      expect(reused.filter((count) => count >= 16).length).toBeGreaterThan(12);
    });

    test('is neither used nor filled by a request with `cache: false`, and empty after forget', async () => {
      const turns = [
        turn('user', 'Now a question that nobody has ever asked of anybody, here or there, until today: why?'),
      ];
      expect(cached(await answer({ turns, cache: false }))).toBe(0);
      expect(cached(await answer({ turns }))).toBe(0);
      expect(cached(await answer({ turns }))).toBeGreaterThanOrEqual(16);
      expect(cached(await answer({ turns, cache: false }))).toBe(0);
      engine.forget();
      expect(cached(await answer({ turns }))).toBe(0);
    });
  });

  describe('admission', () => {
    test('refuses a request that does not fit, before any part is sent', async () => {
      const parts: Part[] = [];
      const tooLong = chatJob({ maxTokens: 5000 });
      const refused = engine.answer(tooLong, (part) => parts.push(part), new AbortController().signal);
      await expect(refused).rejects.toMatchObject({ code: 'context_length_exceeded', param: 'max_tokens' });
      expect(parts).toEqual([]);
    });

    test.each<[string, Partial<ChatJob>]>([
      ['logit_bias', { sampling: { ...GREEDY, logitBias: [[1280, 1]] } }],
      ['allowed_token_ids', { rules: { allowed: [5, 1280] } }],
      ['stop_token_ids', { rules: { stopIds: [1280] } }],
    ])('refuses a token that does not exist in %s', async (param, changes) => {
      await expect(answer(changes)).rejects.toMatchObject({ code: 'invalid_request', param });
    });
  });

  describe('abort', () => {
    test('between tokens stops within one step, with the reason given, and the next answer is right', async () => {
      const right = textOf(await answer({ sampling: ENDLESS }));
      const controller = new AbortController();
      const parts: Part[] = [];
      const reason = new Error('enough');
      const aborted = engine.answer(
        chatJob({ sampling: ENDLESS, maxTokens: 500 }),
        (part) => {
          parts.push(part);
          if (parts.length === 4) controller.abort(reason);
        },
        controller.signal,
      );
      await expect(aborted).rejects.toBe(reason);
      expect(parts).toHaveLength(4);
      expect(textOf(await answer({ sampling: ENDLESS }))).toBe(right);
    });

    test('before the start sends nothing', async () => {
      const parts: Part[] = [];
      const aborted = engine.answer(chatJob(), (part) => parts.push(part), AbortSignal.abort(new Error('never mind')));
      await expect(aborted).rejects.toThrow('never mind');
      expect(parts).toEqual([]);
    });
  });
}
