/** An automaton over bytes of UTF-8. States are immutable, so a rewind is free. */
export interface ByteMachine<State> {
  readonly initial: State;
  /** The state after a byte; one that is not viable if the byte cannot come next. */
  transition(state: State, byte: number): State;
  /** Whether some continuation can be accepted. */
  viable(state: State): boolean;
  accepting(state: State): boolean;
  /** The same for states with the same continuations; absent or undefined: not known. Masks are cached by it. */
  maskKey?(state: State): string | undefined;
}

/** A regular expression, list of choices or grammar that cannot be used. The message says what is wrong, and where. */
export class GrammarError extends Error {
  override readonly name = 'GrammarError';
  /** The request field at fault, where it is not that of the whole constraint. */
  readonly param: string | undefined;

  constructor(message: string, options?: ErrorOptions & { param?: string }) {
    super(message, options);
    this.param = options?.param;
  }
}
