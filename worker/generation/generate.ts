import type { ChatJob, Part, TokenLogprob } from '../../src/protocol/job.ts';
import type { Tokenizer } from '../families/tokenizer.ts';
import type { TokenConstraint } from '../sampling/token-constraint.ts';
import type { Decoder } from './decoder.ts';
import { isOutOfMemory } from '../backend/kv-cache.ts';
import type { SampledToken } from '../sampling/cpu-sampler.ts';
import { type Scores, Detokenizer } from './detokenizer.ts';

/**
 * Chat templates write `Assistant: Yes` where the model, after `Assistant:`, generates ` Yes`. The blank is the
 * template's: left in the answer, it would be doubled when a client sends the answer back as an earlier turn.
 */
const SPACE = 0x20;

/** What one answer is made from, once the prompt has been read. */
export interface ChoiceContext {
  decoder: Pick<Decoder, 'sample'>;
  tokenizer: Tokenizer;
  stopIds: readonly number[];
  prompt: Int32Array;
  maxTokens: number;
  seed: number;
  /** Makes what limits an answer's tokens, afresh for each; absent: nothing does. */
  constrain?: (() => TokenConstraint) | undefined;
  /** Told of each token that is drawn. */
  onToken: (id: number) => void;
}

/**
 * Gives one answer: sends its text as it comes, and its finish. If memory for keys and values runs out after its first
 * token, that is its end, as if it had reached `maxTokens`, and the decoder holds nothing any more.
 *
 * @returns how many tokens were generated, the one that ended the answer included
 */
export async function generateChoice(
  opening: ChoiceContext,
  job: Pick<ChatJob, 'sampling' | 'stop' | 'topLogprobs'>,
  choice: number,
  emit: (part: Part) => void,
  signal: AbortSignal,
): Promise<number> {
  const { decoder, tokenizer, stopIds, prompt, maxTokens: limit, seed } = opening;
  const text = new Detokenizer(job.stop);
  const wanted = job.topLogprobs !== undefined;
  const send = (piece: { text: string; logprobs: TokenLogprob[] }): void => {
    if (piece.text === '' && piece.logprobs.length === 0) return;
    emit({ type: 'text', choice, text: piece.text, ...(wanted && { logprobs: piece.logprobs }) });
  };
  let tokens = 0;
  let reason: 'stop' | 'length' = 'length';
  const sampling = { ...job.sampling, seed };
  const constraint = opening.constrain?.();
  const drawing = { sampling, prompt, choice, topLogprobs: job.topLogprobs, limit, constraint };
  try {
    for await (const drawn of decoder.sample(drawing, signal)) {
      tokens++;
      opening.onToken(drawn.id);
      if (stopIds.includes(drawn.id)) {
        reason = 'stop';
        break;
      }
      const shown = (id: number): Uint8Array => {
        const bytes = tokenizer.bytes(id);
        return tokens === 1 && bytes[0] === SPACE ? bytes.subarray(1) : bytes;
      };
      send(text.push(shown(drawn.id), scoresOf(drawn, shown)));
      if (text.stopped) {
        reason = 'stop';
        break;
      }
    }
  } catch (error) {
    if (tokens === 0 || !isOutOfMemory(error)) throw error;
  }
  if (!text.stopped) send(text.finish());
  emit({ type: 'finish', choice, reason });
  return tokens;
}

/** A token's log probabilities, its alternatives written as it is shown itself. */
function scoresOf({ logprob, top = [] }: SampledToken, shown: (id: number) => Uint8Array): Scores | undefined {
  if (logprob === undefined) return undefined;
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const written = (bytes: Uint8Array) => ({ token: decoder.decode(bytes), bytes: [...bytes] });
  return { logprob, top: top.map((each) => ({ ...written(shown(each.id)), logprob: each.logprob })) };
}
