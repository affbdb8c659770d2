import type { ByteMachine } from '../../../worker/grammar/byte-machine.ts';
import { integer, pick, type Random } from '../../random.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Fails if the bytes are no valid UTF-8. */
export const decode = (bytes: readonly number[]): string => decoder.decode(Uint8Array.from(bytes));

export function after<State>(machine: ByteMachine<State>, bytes: Iterable<number>): State {
  let state = machine.initial;
  for (const byte of bytes) state = machine.transition(state, byte);
  return state;
}

/** Whether the text can be completed. */
export function isViable<State>(machine: ByteMachine<State>, text: string): boolean {
  return machine.viable(after(machine, encoder.encode(text)));
}

/** Whether a machine accepts a text. Fails if it accepts in a state that it calls not viable, on the way or at the end. */
export function accepts<State>(machine: ByteMachine<State>, text: string): boolean {
  let state = machine.initial;
  let viable = machine.viable(state);
  for (const byte of encoder.encode(text)) {
    state = machine.transition(state, byte);
    if (!viable && machine.viable(state)) throw new Error(`"${text}" can be completed though a part of it cannot`);
    viable = machine.viable(state);
  }
  if (machine.accepting(state) && !viable) throw new Error(`"${text}" is accepted but not viable`);
  return machine.accepting(state);
}

function viableBytes<State>(machine: ByteMachine<State>, state: State): number[] {
  return Array.from({ length: 256 }, (_, byte) => byte).filter((byte) =>
    machine.viable(machine.transition(state, byte)),
  );
}

/** The shortest bytes from a state to an accepting one, or undefined if none are found among so many states. */
function completion<State>(machine: ByteMachine<State>, from: State, states: number): number[] | undefined {
  const ways = new Map<State, number[]>([[from, []]]);
  for (const [state, way] of ways) {
    if (machine.accepting(state)) return way;
    if (ways.size > states) return undefined;
    for (const byte of viableBytes(machine, state)) {
      const next = machine.transition(state, byte);
      if (!ways.has(next)) ways.set(next, [...way, byte]);
    }
  }
  return undefined;
}

/**
 * A text that a machine accepts: random bytes that are viable, then a completion, or undefined if none is found.
 *
 * @param states how many are searched for the completion: in grammars it can be long
 */
export function randomText<State>(
  machine: ByteMachine<State>,
  random: Random,
  length: number,
  states = 1000,
): string | undefined {
  let state = machine.initial;
  const bytes: number[] = [];
  for (let count = integer(random, length); count > 0; count--) {
    const viable = viableBytes(machine, state);
    if (viable.length === 0) {
      if (!machine.accepting(state)) throw new Error('a viable state has no way on');
      break;
    }
    // Half of the time ASCII, which is what short expressions are made of.
    const ascii = viable.filter((byte) => byte < 0x80);
    const byte = pick(random, ascii.length > 0 && random() < 0.5 ? ascii : viable);
    bytes.push(byte);
    state = machine.transition(state, byte);
  }
  const rest = completion(machine, state, states);
  return rest && decode([...bytes, ...rest]);
}

/** A text with a few code points of an alphabet put in, left out or replaced. */
export function mutated(text: string, random: Random, alphabet: readonly string[]): string {
  const points = Array.from(text);
  for (let count = 1 + integer(random, 3); count > 0; count--) {
    const at = integer(random, points.length + 1);
    const kind = integer(random, 3);
    points.splice(at, kind === 0 ? 0 : 1, ...(kind === 1 ? [] : [pick(random, alphabet)]));
  }
  return points.join('');
}

export function randomString(random: Random, alphabet: readonly string[], length: number): string {
  return Array.from({ length: integer(random, length) }, () => pick(random, alphabet)).join('');
}
