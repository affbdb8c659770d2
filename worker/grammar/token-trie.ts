/**
 * The tokens of a vocabulary as a tree of their bytes, in the order of a depth-first walk: a node's children come right
 * after it. So a beginning that many tokens share is read once, and left at once where it cannot come.
 */
export interface TokenTrie {
  /** Of each node: its byte, how many bytes come before it, and the node after all that begin with it. */
  readonly bytes: Uint8Array;
  readonly depths: Uint16Array;
  readonly ends: Int32Array;
  /** The tokens that end in node `n` are `ids` from `firstIds[n]` to before `firstIds[n + 1]`. */
  readonly ids: Int32Array;
  readonly firstIds: Int32Array;
  /** How many 32-bit words a mask has. */
  readonly words: number;
}

/**
 * @param bytesOf the bytes of a token; none: a token that is never text, and is left out
 * @param size ids are below it
 */
export function buildTokenTrie(bytesOf: (id: number) => Uint8Array, size: number): TokenTrie {
  // Bytes as characters, because nothing sorts faster than strings do.
  const texts = Array.from({ length: size }, (_, id) => String.fromCharCode(...bytesOf(id)));
  const order = [...texts.keys()].filter((id) => texts[id] !== '');
  order.sort((one, other) => compare(texts[one] ?? '', texts[other] ?? ''));
  const total = texts.reduce((sum, { length }) => sum + length, 0);
  const bytes = new Uint8Array(total);
  const depths = new Uint16Array(total);
  const ends = new Int32Array(total);
  const firstIds = new Int32Array(total + 1);
  /** The nodes of the token before, whose subtrees are still open. */
  const open: number[] = [];
  let nodes = 0;
  let before = '';
  for (const [index, id] of order.entries()) {
    const text = texts[id] ?? '';
    const shared = sharedLength(before, text);
    while (open.length > shared) ends[open.pop() ?? 0] = nodes;
    for (let depth = shared; depth < text.length; depth++) {
      open.push(nodes);
      bytes[nodes] = text.charCodeAt(depth);
      depths[nodes] = depth;
      firstIds[nodes] = index;
      nodes++;
    }
    firstIds[nodes] = index + 1;
    before = text;
  }
  for (const node of open) ends[node] = nodes;
  return {
    bytes: bytes.slice(0, nodes),
    depths: depths.slice(0, nodes),
    ends: ends.slice(0, nodes),
    firstIds: firstIds.slice(0, nodes + 1),
    ids: Int32Array.from(order),
    words: Math.ceil(size / 32),
  };
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

function sharedLength(one: string, other: string): number {
  let length = 0;
  while (length < one.length && one.charCodeAt(length) === other.charCodeAt(length)) length++;
  return length;
}
