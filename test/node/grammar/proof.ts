import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect } from 'vitest';
import { isNearsightError } from '../../../src/protocol/errors.ts';
import { GREEDY, type TextConstraint } from '../../../src/protocol/job.ts';
import { Grammar } from '../../../worker/grammar/grammar-chunk.ts';
import type { TemplateTokenizer } from '../../../worker/families/tokenizer.ts';
import { isAllowed } from '../../../worker/sampling/token-constraint.ts';
import { CpuSampler } from '../../../worker/sampling/cpu-sampler.ts';
import { integer, pick, type Random, xorshift } from '../../random.ts';
import { generatedSchema } from './generated-schema.ts';

/** The tokens of a model. */
export interface Tokens {
  bytes(id: number): Uint8Array;
  encode(text: string): readonly number[];
  stopIds: readonly number[];
  size: number;
  /** Those that close a string, an object or an array. */
  closingIds: readonly number[];
}

const LIMIT = 512;

export interface Count {
  finished: number;
  cut: number;
  refused: number;
}

/** As the test's name or output says it. */
export function summary({ finished, cut, refused }: Count): string {
  const share = ((100 * finished) / (finished + cut)).toFixed(1);
  return `${finished} finished and validated, ${cut} cut at ${LIMIT} tokens (${share} % finished), ${refused} refused by name`;
}

/** As {@link proveSchemas}, by a sampler that always takes the token that is the least likely among those allowed. */
export function proveAgainstAdversary(tokens: Tokens, count: number, seed: number): Count {
  return proveSchemas(tokens, count, seed, true);
}

/** Answers by random logits and settings to so many schemas; each that finishes must validate, by another validator. */
export function proveSchemas(tokens: Tokens, count: number, seed: number, adversarial = false): Count {
  const grammar = new Grammar(tokens, tokens.size);
  const total: Count = { finished: 0, cut: 0, refused: 0 };
  for (let index = 0; index < count; index++) {
    // Seeds far apart: small ones give small numbers at first.
    const random = xorshift(Math.imul(seed + index, 0x9e3779b1));
    const schema = generatedSchema(random);
    const where = `seed ${seed + index}: ${JSON.stringify(schema)}`;
    const wanted = { type: 'json', schema, param: 'schema' } as const;
    const text = answer(grammar, tokens, wanted, random, where, { adversarial });
    if (text === 'refused' || text === 'cut') {
      total[text]++;
      continue;
    }
    total.finished++;
    // A reference that cannot be resolved is refused, but not in an option that no value can take.
    const schemas = { 'other.json': {} };
    const validate = new Ajv2020({ strict: false, validateFormats: false, schemas }).compile(schema);
    expect(validate(JSON.parse(text.whole)), `${where} gave ${text.whole}: ${JSON.stringify(validate.errors)}`).toBe(
      true,
    );
  }
  return total;
}

/** What the text of an answer begins with where calls are not required: a model without sense would never call. */
const LEAD = 'I see <b> <tool_call>';

/** As {@link proveSchemas}, for answers that call tools: each call's arguments must validate under that tool's schema. */
export function proveCalls(tokens: Tokens, count: number, seed: number): Count {
  const grammar = new Grammar(tokens, tokens.size);
  const total: Count = { finished: 0, cut: 0, refused: 0 };
  for (let index = 0; index < count; index++) {
    const random = xorshift(Math.imul(seed + index, 0x9e3779b1));
    const tools = ['a', 'ab', 'b-c_2'].slice(0, 1 + integer(random, 3)).map((name) => {
      const properties = { [pick(random, ['x', 'a "b"', '</tool_call>'])]: generatedSchema(random, 1) };
      const schema = { type: 'object', properties, required: Object.keys(properties), additionalProperties: false };
      return { name, schema, param: `tools.${name}` };
    });
    const where = `seed ${seed + index}: ${JSON.stringify(tools)}`;
    const parallel = random() < 0.5;
    const required = random() < 0.6;
    const wanted = { type: 'tools', tools, required, parallel, param: 'tools' } as const;
    const text = answer(grammar, tokens, wanted, random, where, { lead: required ? '' : LEAD });
    if (text === 'refused' || text === 'cut') {
      total[text]++;
      continue;
    }
    total.finished++;
    const calls = [...text.whole.matchAll(/<tool_call>\n(.*)\n<\/tool_call>$/gm)];
    const before = required ? '' : 'I see <b> ';
    expect(before + calls.map(([call]) => call).join('\n'), where).toBe(text.whole);
    expect(parallel ? calls.length > 0 : calls.length === 1, text.whole).toBe(true);
    for (const [, json = ''] of calls) {
      const call = JSON.parse(json);
      expect(Object.keys(call)).toEqual(['name', 'arguments']);
      const schema = tools.find(({ name }) => name === call.name)?.schema ?? false;
      const validate = new Ajv2020({ strict: false, validateFormats: false }).compile(schema);
      expect(validate(call.arguments), `${where} gave ${json}: ${JSON.stringify(validate.errors)}`).toBe(true);
    }
  }
  return total;
}

/** An answer by random logits, or why there is none. A refusal must say what cannot be enforced. */
export function answer(
  grammar: Grammar,
  tokens: Tokens,
  wanted: TextConstraint,
  random: Random,
  where: string,
  { adversarial = false, lead = '' } = {},
): { whole: string } | 'refused' | 'cut' {
  let constraint;
  try {
    constraint = grammar.open(wanted, false)();
  } catch (error) {
    if (!isNearsightError(error) || error.code !== 'unsupported_schema') throw new Error(where, { cause: error });
    expect(error.message, where).toMatch(/^(schema|tools\.[\w-]+): .*cannot be enforced: .+/);
    return 'refused';
  }
  const settings = adversarial ? GREEDY : randomSettings(random);
  const sampler = new CpuSampler({ ...settings, seed: integer(random, 1000) }, new Int32Array(), 0, undefined);
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const first = lead === '' ? [] : tokens.encode(lead);
  let text = '';
  for (let step = 0; step < LIMIT; step++) {
    const logits = randomLogits(tokens, random).map((logit) => (adversarial ? -logit : logit));
    const mask = constraint.mask(step);
    const id = first[step] ?? sampler.sample(logits, mask).id;
    if (mask) expect(isAllowed(mask, id), where).toBe(true);
    try {
      constraint.accept(id);
    } catch (error) {
      throw new Error(`${where} gave ${text}`, { cause: error });
    }
    if (tokens.stopIds.includes(id)) return { whole: text + decoder.decode() };
    const bytes = tokens.bytes(id);
    text += decoder.decode(step === 0 && bytes[0] === 0x20 ? bytes.subarray(1) : bytes, { stream: true });
  }
  return 'cut';
}

function randomSettings(random: Random) {
  return {
    temperature: pick(random, [0, 0.5, 1, 2]),
    topP: pick(random, [1, 0.9, 0.1]),
    topK: pick(random, [0, 1, 40]),
    minP: pick(random, [0, 0.1]),
    frequencyPenalty: pick(random, [0, 1]),
    presencePenalty: pick(random, [0, -1]),
    repetitionPenalty: pick(random, [1, 1.3]),
    logitBias: [],
  };
}

/** Of a model without sense, except that it likes to close what is open: otherwise a free string would never end. */
function randomLogits({ size, closingIds, stopIds }: Tokens, random: Random): Float32Array {
  const logits = Float32Array.from({ length: size }, () => 4 * (random() + random() + random() - 1.5));
  for (const id of [...closingIds, ...stopIds]) logits[id] = (logits[id] ?? 0) + 3;
  return logits;
}

/** The tokens of a tokenizer. */
export function tokensOf(tokenizer: TemplateTokenizer, size: number): Tokens {
  const stop = tokenizer.special.get('<end_of_utterance>');
  if (stop === undefined) throw new Error('no token that ends an answer');
  const closing = /^(?:["}\]]|"[}\],].?)$/;
  const closingIds = Array.from({ length: size }, (_, id) => id).filter((id) =>
    closing.test(new TextDecoder().decode(tokenizer.bytes(id))),
  );
  return {
    bytes: (id) => tokenizer.bytes(id),
    encode: (text) => tokenizer.encode(text),
    stopIds: [stop],
    size,
    closingIds,
  };
}
