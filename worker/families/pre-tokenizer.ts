import { stepsOf } from './bpe.ts';
import { type ConfigReader, isRecord } from './config-reader.ts';

/** GPT-2's pattern, with `\s` replaced by the Unicode property that Rust uses for it. */
const GPT2_WORDS =
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\p{White_Space}\\p{L}\\p{N}]+" +
  '|\\p{White_Space}+(?!\\P{White_Space})|\\p{White_Space}+';

/**
 * The split patterns of models that we know. Others are refused: a pattern may take exponential time, and comes with the
 * model.
 */
const KNOWN: ReadonlyMap<string, string> = new Map(
  [
    // GPT-4's, as in LFM2, Granite and Llama 3: up to three digits.
    String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
    // Qwen2's and Qwen3's: single digits.
    String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
    // Qwen3.5's: combining marks belong to words.
    String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
    // Tekken's, of Mistral: upper and lower case apart.
    String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  ].map((pattern) => [pattern, asInRust(pattern)]),
);

const MOST_STEPS = 16;

/**
 * A `tokenizer.json`'s pre-tokenizer, written so that JavaScript splits like the Rust original. These steps differ
 * otherwise: `Digits` are all Unicode numbers in Rust and 0 to 9 in JavaScript, and `\s` differs for U+0085 and U+FEFF.
 *
 * @throws NearsightError `load_failed` naming a step or a pattern that is not known
 */
export function rustPreTokenizer(file: ConfigReader): object {
  const pretokenizers = steps(file.get('pre_tokenizer'), file).map((step) => rustStep(step, file));
  return { type: 'Sequence', pretokenizers };
}

function steps(step: unknown, file: ConfigReader): Record<string, unknown>[] {
  const listed = stepsOf(step, 'pretokenizers');
  if (listed.length <= MOST_STEPS && listed.every(isRecord)) return listed;
  throw file.error('pre_tokenizer', 'a step, or a sequence of steps');
}

function rustStep(step: Record<string, unknown>, file: ConfigReader): object {
  const split = (Regex: string): object => ({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false });
  switch (step['type']) {
    case 'Digits':
      return split(step['individual_digits'] ? '\\p{N}' : '\\p{N}+');
    case 'ByteLevel':
      if (step['add_prefix_space'] || step['use_regex'] === false) return step;
      return { type: 'Sequence', pretokenizers: [split(GPT2_WORDS), { ...step, use_regex: false }] };
    case 'Split':
      return split(knownPattern(step, file));
    default:
      throw unknown(`the step '${String(step['type']).slice(0, 40)}'`, file);
  }
}

function knownPattern({ pattern, behavior, invert }: Record<string, unknown>, file: ConfigReader): string {
  const regex = isRecord(pattern) ? pattern['Regex'] : undefined;
  const known = typeof regex === 'string' ? KNOWN.get(regex) : undefined;
  if (known === undefined) throw unknown(`the split pattern ${JSON.stringify(pattern ?? null).slice(0, 80)}`, file);
  // Each of these patterns matches all of a text: to isolate matches is to remove what is between them.
  const isolates = (behavior === 'Isolated' && invert === false) || (behavior === 'Removed' && invert === true);
  if (!isolates) throw unknown(`a split that is '${String(behavior).slice(0, 40)}'`, file);
  return known;
}

function unknown(what: string, file: ConfigReader) {
  return file.error('pre_tokenizer', `one that is known, without ${what}`);
}

/** JavaScript has no `(?i:…)` everywhere yet. */
function asInRust(pattern: string): string {
  return pattern
    .replace(/\(\?i:([^)]*)\)/, (_, words: string) => {
      const anyCase = words.replaceAll(/[a-z]/g, (letter) => `[${letter}${letter.toUpperCase()}]`);
      return `(?:${anyCase})`;
    })
    .replaceAll('\\s', '\\p{White_Space}')
    .replaceAll('\\S', '\\P{White_Space}');
}
