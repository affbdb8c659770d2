import { GrammarError, type ByteMachine } from './byte-machine.ts';

/** The limit on bytes that the choices have, shared beginnings counted once. */
const MAX_NODES = 100_000;

export interface TrieNode {
  readonly id: number;
  readonly children: Map<number, TrieNode>;
  accepting: boolean;
}

/**
 * A machine for a list of texts, of which any may be given. Empty ones and repetitions are allowed.
 *
 * @throws GrammarError if there is none, or if one is not Unicode
 */
export function compileChoice(texts: readonly string[]): ByteMachine<TrieNode> {
  if (texts.length === 0) throw new GrammarError('There is no choice');
  const dead: TrieNode = { id: 0, children: new Map(), accepting: false };
  const initial: TrieNode = { id: 1, children: new Map(), accepting: false };
  const encoder = new TextEncoder();
  let nodes = 1;
  for (const [index, text] of texts.entries()) {
    // The encoder would put another character in its place.
    if (/\p{Surrogate}/u.test(text)) throw new GrammarError(`Choice ${index} has half of a surrogate pair`);
    let node = initial;
    for (const byte of encoder.encode(text)) {
      const child = node.children.get(byte) ?? { id: ++nodes, children: new Map(), accepting: false };
      if (nodes > MAX_NODES) throw new GrammarError(`The choices have more than ${MAX_NODES} bytes`);
      node.children.set(byte, child);
      node = child;
    }
    node.accepting = true;
  }
  return {
    initial,
    transition: (node, byte) => node.children.get(byte) ?? dead,
    viable: (node) => node !== dead,
    accepting: (node) => node.accepting,
    // After all choices that are complete, the same follows: nothing.
    maskKey: (node) => (node.accepting && node.children.size === 0 ? 'complete' : String(node.id)),
  };
}
