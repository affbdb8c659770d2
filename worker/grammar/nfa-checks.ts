import { GrammarError } from './byte-machine.ts';
import { END, type Nfa } from './nfa.ts';

/**
 * Leaves only nodes and edges from which the end of their rule can be reached. Then every state of the machine that has a
 * node can be completed.
 *
 * @returns the rules that no text matches
 */
export function pruneNfa(nfa: Nfa): string[] {
  const finishing = nodesReachingEnd(nfa, true);
  if (finishing.size === nfa.nodes.length) return [];
  nfa.nodes = nfa.nodes.map(({ edges, epsilons, call }) => ({
    edges: edges.filter(({ to }) => finishing.has(to)),
    epsilons: epsilons.filter((to) => finishing.has(to)),
    call: call && finishing.has(call.rule) && finishing.has(call.back) ? call : undefined,
  }));
  return [...nfa.starts].filter(([, start]) => !finishing.has(start)).map(([name]) => name);
}

/**
 * A rule that calls itself before any byte would add to its stack for ever.
 *
 * @throws GrammarError naming the rules that call each other
 */
export function refuseLeftRecursion(nfa: Nfa): void {
  const nullable = nodesReachingEnd(nfa, false);
  const names = new Map([...nfa.starts].map(([name, start]) => [start, name]));
  const done = new Set<number>();
  for (const root of nfa.starts.values()) {
    if (done.has(root)) continue;
    const open = new Set([root]);
    /** The way to the rule that is looked at, with the calls of each rule that are still to be looked at. */
    const path = [{ rule: root, calls: firstCalls(nfa, root, nullable) }];
    for (let top = path.at(-1); top; top = path.at(-1)) {
      const callee = top.calls.pop();
      if (callee === undefined) {
        done.add(top.rule);
        open.delete(top.rule);
        path.pop();
      } else if (open.has(callee)) {
        const cycle = [...path.map(({ rule }) => rule).slice(path.findIndex(({ rule }) => rule === callee)), callee];
        const way = cycle.map((rule) => `"${names.get(rule)}"`).join(' starts with ');
        throw new GrammarError(`Left recursion after something optional or repeated: ${way}`);
      } else if (!done.has(callee)) {
        open.add(callee);
        path.push({ rule: callee, calls: firstCalls(nfa, callee, nullable) });
      }
    }
  }
}

/** The rules that a rule can call before any byte. */
function firstCalls(nfa: Nfa, start: number, nullable: ReadonlySet<number>): number[] {
  const calls = new Set<number>();
  const reached = new Set([start]);
  for (const node of reached) {
    const { epsilons = [], call } = nfa.nodes[node] ?? {};
    for (const to of epsilons) reached.add(to);
    if (!call) continue;
    calls.add(call.rule);
    if (nullable.has(call.rule)) reached.add(call.back);
  }
  return [...calls];
}

/** The nodes from which the end of their rule can be reached, with bytes or only without. */
function nodesReachingEnd({ nodes }: Nfa, withBytes: boolean): ReadonlySet<number> {
  const before = nodes.map((): number[] => []);
  for (const [node, { edges, epsilons, call }] of nodes.entries()) {
    const next = [
      ...epsilons,
      ...(withBytes ? edges.map(({ to }) => to) : []),
      ...(call ? [call.rule, call.back] : []),
    ];
    for (const to of next) before[to]?.push(node);
  }
  const reaching = new Set([END]);
  for (const node of reaching) {
    for (const previous of before[node] ?? []) {
      const call = nodes[previous]?.call;
      // A node with a call has nothing else.
      if (!call || (reaching.has(call.rule) && reaching.has(call.back))) reaching.add(previous);
    }
  }
  return reaching;
}
