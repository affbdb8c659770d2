import type { ChatJob, Part } from '../../src/protocol/job.ts';
import type { Tokenizer } from '../families/tokenizer.ts';
import type { TokenConstraint } from '../sampling/token-constraint.ts';
import type { Decoder } from './decoder.ts';
import { isOutOfMemory } from '../backend/kv-cache.ts';
import type { SampledToken } from '../sampling/cpu-sampler.ts';
import { type Scores, type TextPiece, Detokenizer } from './detokenizer.ts';

/**
 * Models generate ` Yes` after `Assistant:`, and chat templates write `Assistant: Yes`. So the space belongs to the
 * template: in the answer, it would be doubled when a client sends the answer back as an earlier turn.
 */
const SPACE = 0x20;

const NOTHING: TextPiece = { text: '', logprobs: [] };

/** Everything that an answer needs, once the decoder has read the prompt. */
export interface ChoiceContext {
  decoder: Pick<Decoder, 'sample'>;
  tokenizer: Tokenizer;
  stopIds: readonly number[];
  prompt: Int32Array;
  maxTokens: number;
  seed: number;
  /** Creates the constraint of an answer; absent: no constraint. */
  constrain?: (() => TokenConstraint) | undefined;
  /** Called with each sampled token. */
  onToken: (id: number) => void;
}

/**
 * Generates one answer: emits its text as it is sampled, and its finish. If memory for keys and values runs out after the
 * first token, the answer ends as at `maxTokens`, and the decoder is empty.
 *
 * @returns number of tokens generated, including the one that ended the answer
 */
export async function generateChoice(
  context: ChoiceContext,
  job: Pick<ChatJob, 'sampling' | 'stop' | 'rules' | 'topLogprobs' | 'tokenIds' | 'specialTokens'>,
  choice: number,
  emit: (part: Part) => void,
  signal: AbortSignal,
): Promise<number> {
  const { decoder, tokenizer, stopIds, prompt, maxTokens: limit, seed } = context;
  const { ignoreEos, stopIds: more = [], includeStop, minTokens = 0 } = job.rules ?? {};
  const ends = new Set([...(ignoreEos ? [] : stopIds), ...more]);
  const text = new Detokenizer(job.stop, includeStop);
  const withLogprobs = job.topLogprobs !== undefined;
  const send = (piece: TextPiece, id?: number): void => {
    const ids = job.tokenIds && id !== undefined ? [id] : undefined;
    if (piece.text === '' && piece.logprobs.length === 0 && !ids) return;
    const { logprobs } = piece;
    emit({ type: 'text', choice, text: piece.text, ...(withLogprobs && { logprobs }), ...(ids && { ids }) });
  };
  let tokens = 0;
  let reason: 'stop' | 'length' = 'length';
  const sampling = { ...job.sampling, seed };
  const constraint = context.constrain?.();
  const request = { sampling, prompt, choice, topLogprobs: job.topLogprobs, limit, constraint };
  try {
    for await (const token of decoder.sample(request, signal)) {
      tokens++;
      context.onToken(token.id);
      const shownBytes = (id: number): Uint8Array => {
        const bytes = tokenizer.bytes(id, job.specialTokens);
        return tokens === 1 && bytes[0] === SPACE ? bytes.subarray(1) : bytes;
      };
      const isEnd = ends.has(token.id);
      // The model's own end tokens are no text, even where special tokens are.
      const isShown = !isEnd || (includeStop && more.includes(token.id));
      const mayStop = tokens > minTokens;
      const scores = scoresOf(token, shownBytes);
      send(isShown ? text.push(shownBytes(token.id), scores, mayStop) : NOTHING, token.id);
      if (isEnd || text.stopped) {
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

/** A token's log probabilities. The likeliest tokens are written like the token itself. */
function scoresOf({ logprob, top = [] }: SampledToken, shownBytes: (id: number) => Uint8Array): Scores | undefined {
  if (logprob === undefined) return undefined;
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const written = (bytes: Uint8Array) => ({ token: decoder.decode(bytes), bytes: [...bytes] });
  return { logprob, top: top.map((token) => ({ ...written(shownBytes(token.id)), logprob: token.logprob })) };
}
