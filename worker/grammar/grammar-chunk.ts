import { NearsightError } from '../../src/protocol/errors.ts';
import type { TextConstraint } from '../../src/protocol/job.ts';
import type { TokenConstraint } from '../sampling/token-constraint.ts';
import { type ByteMachine, GrammarError } from './byte-machine.ts';
import { compileChoice } from './choice.ts';
import { CompileClock } from './compile-clock.ts';
import { compileEbnf } from './ebnf.ts';
import { GrammarConstraint, TokenMasks, type Vocabulary } from './grammar-constraint.ts';
import { compileJsonSchema } from './json-schema.ts';
import { compileRegex } from './regex.ts';
import { SchemaValidator } from './schema-validator.ts';
import { buildTokenTrie } from './token-trie.ts';
import { callsIn, compileToolCalls } from './tool-calls.ts';

/** How many compiled constraints are kept: pages ask for the same fields of many images. */
const MOST_KEPT = 4;
const NOTHING = new Uint8Array();

/** Makes the constraints of one model. */
export class Grammar {
  readonly #vocabulary: Vocabulary;
  readonly #kept = new Map<string, () => TokenConstraint>();

  /** @param size token ids are below it */
  constructor(vocabulary: Omit<Vocabulary, 'trie'>, size: number) {
    // An end token is no text, even where the tokenizer has it as an ordinary one.
    const bytes = (id: number): Uint8Array => (vocabulary.stopIds.includes(id) ? NOTHING : vocabulary.bytes(id));
    this.#vocabulary = { ...vocabulary, bytes, trie: buildTokenTrie(bytes, size) };
  }

  /**
   * Compiles a constraint.
   *
   * @param keep whether it may be kept for the next request, and one that was kept may be used
   * @returns makes the constraint of one answer
   * @throws NearsightError `unsupported_schema` naming the request's field, if it cannot be enforced
   */
  open(wanted: TextConstraint, keep: boolean): () => TokenConstraint {
    if (!keep) return compile(wanted, this.#vocabulary);
    const key = JSON.stringify(wanted);
    const known = this.#kept.get(key);
    if (known) return known;
    const opened = compile(wanted, this.#vocabulary);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size >= MOST_KEPT && oldest !== undefined) this.#kept.delete(oldest);
    this.#kept.set(key, opened);
    return opened;
  }
}

function compile(wanted: TextConstraint, vocabulary: Vocabulary): () => TokenConstraint {
  const clock = new CompileClock();
  try {
    switch (wanted.type) {
      case 'json':
        return withMachine(
          compileJsonSchema(wanted.schema, clock),
          vocabulary,
          wanted.param,
          jsonChecker(wanted.schema),
        );
      case 'regex':
        return withMachine(compileRegex(wanted.pattern, clock), vocabulary, wanted.param);
      case 'choice':
        return withMachine(compileChoice(wanted.texts), vocabulary, wanted.param);
      case 'grammar':
        return withMachine(compileEbnf(wanted.ebnf, clock), vocabulary, wanted.param);
      case 'tools':
        return withMachine(compileToolCalls(wanted, clock), vocabulary, wanted.param, callChecker(wanted));
    }
  } catch (error) {
    const { param = wanted.param, message } = asGrammarError(error);
    throw new NearsightError('unsupported_schema', `${param}: ${message}.`, { param, cause: error });
  }
}

/** A stack that overflows is a schema that is nested too deep. */
function asGrammarError(error: unknown): GrammarError {
  if (error instanceof GrammarError) return error;
  if (error instanceof RangeError)
    return new GrammarError('it is nested too deep, or has too many parts', { cause: error });
  throw error;
}

function withMachine<State>(
  machine: ByteMachine<State>,
  vocabulary: Vocabulary,
  param: string,
  check: (text: string) => void = () => {},
): () => TokenConstraint {
  const masks = new TokenMasks(machine, vocabulary, param);
  return () => new GrammarConstraint(masks, check);
}

/** The last line of defence: a grammar that lets an invalid text pass is a defect, and the text must not be trusted. */
function jsonChecker(schema: unknown): (text: string) => void {
  const validate = validatorOf(schema);
  return (text) => validate(JSON.parse(text));
}

/** As {@link jsonChecker}, for the arguments of calls, and for what is there instead. */
function callChecker({ tools, otherwise }: Extract<TextConstraint, { type: 'tools' }>): (text: string) => void {
  const validators = new Map(tools.map(({ name, schema }) => [name, validatorOf(schema)]));
  const checkOther = otherwise && jsonChecker(otherwise.schema);
  return (text) => {
    const calls = callsIn(text);
    for (const call of calls) validators.get(call.name)?.(call.arguments);
    if (calls.length === 0) checkOther?.(text);
  };
}

/** Throws if a value is not valid. */
function validatorOf(schema: unknown): (value: unknown) => void {
  const validator = new SchemaValidator(schema);
  return (value) => {
    const failure = validator.failure(value);
    if (failure !== undefined)
      throw new NearsightError('internal', `The answer does not follow its schema: ${failure}.`);
  };
}
