import { ERRORS, NearsightError, type ErrorCode } from '../protocol/errors.ts';

/** Who is asked first, and whether the other may be asked at all. */
export type Policy = 'local-only' | 'local-first' | 'remote-first';

/** What a page's own policy is told about a request. */
export interface RouteFacts {
  /** The model that was asked for. */
  model: string;
  /** How many images would leave the device. */
  images: number;
  /** Why it cannot be answered here; null while nothing is known to stand in the way. */
  localFault: ErrorCode | null;
  /** Why the remote has not answered; null if it has not been asked. */
  remoteFault: ErrorCode | null;
}

/** A page's own policy. It is asked again with the fault if its choice failed before the first token. */
export type ChoosePolicy = (facts: RouteFacts) => 'local' | 'remote' | 'refuse';

export interface RouteInput {
  policy: Policy | ChoosePolicy;
  /** Whether a remote is set up. */
  remote: boolean;
  model: string;
  images: number;
  localFault?: NearsightError | undefined;
  remoteFault?: NearsightError | undefined;
}

/** The policy whose first choice it was, `chosen` by the page's own, or the fault that sent it there. */
export type Reason = Policy | 'chosen' | ErrorCode;

export type Route = { target: 'local' | 'remote'; reason: Reason } | { target: 'refuse'; error: NearsightError };

/**
 * Decides where a request goes, given what has failed so far. Pure, but for the page's own policy. If both have failed,
 * the later failure is the answer.
 */
export function route(input: RouteInput): Route {
  const { policy, remote, localFault, remoteFault } = input;
  const final = [localFault, remoteFault].find((fault) => fault && ERRORS[fault.code].reroute === false);
  if (final) return { target: 'refuse', error: final };
  if (typeof policy === 'function') return chosen(policy, input);
  if (policy === 'local-only' || !remote) return go('local', 'local-only', localFault);
  if (policy === 'local-first') {
    return localFault ? go('remote', localFault.code, remoteFault) : go('local', policy);
  }
  if (policy === 'remote-first') {
    return remoteFault ? go('local', remoteFault.code, localFault) : go('remote', policy);
  }
  // A misspelt policy must send nothing.
  policy satisfies never;
  return refused('There is no policy of that name.');
}

function chosen(policy: ChoosePolicy, { remote, model, images, localFault, remoteFault }: RouteInput): Route {
  const faults = { localFault: localFault?.code ?? null, remoteFault: remoteFault?.code ?? null };
  let target: ReturnType<ChoosePolicy>;
  try {
    target = policy({ model, images, ...faults });
  } catch (cause) {
    return refused(`The page's policy failed: ${String(cause)}`, cause);
  }
  // Anything else is a refusal, such as the promise of an `async` function or a forgotten `return`.
  if (target === 'local') return go(target, 'chosen', localFault);
  if (target === 'remote' && remote) return go(target, 'chosen', remoteFault);
  const fault = localFault ?? remoteFault;
  if (fault) return { target: 'refuse', error: fault };
  return refused(
    `The page's policy ${target === 'remote' ? 'asks for a remote, and none is set up' : 'refuses this request'}.`,
  );
}

function refused(message: string, cause?: unknown): Route {
  return { target: 'refuse', error: new NearsightError('policy_refused', message, { cause }) };
}

function go(target: 'local' | 'remote', reason: Reason, fault?: NearsightError): Route {
  return fault ? { target: 'refuse', error: fault } : { target, reason };
}

/** From the strictest. */
const POLICIES: readonly Policy[] = ['local-only', 'local-first', 'remote-first'];

/**
 * The policy of one request: its `x-nearsight-policy` header may only be stricter than the page's.
 *
 * @throws NearsightError `invalid_request` for a value that is no policy
 */
export function tighten(policy: Policy | ChoosePolicy, header: string | null): Policy | ChoosePolicy {
  if (header === null) return policy;
  const asked = POLICIES.find((name) => name === header.trim());
  if (!asked) {
    const message = `x-nearsight-policy must be one of ${POLICIES.join(', ')}.`;
    throw new NearsightError('invalid_request', message, { param: 'x-nearsight-policy' });
  }
  if (asked === 'local-only') return asked;
  if (typeof policy === 'function') return asked === 'local-first' ? localFirst(policy) : policy;
  return POLICIES.indexOf(asked) < POLICIES.indexOf(policy) ? asked : policy;
}

/** The page's own policy, except that the remote is not asked before it was tried here: then the page is asked again. */
function localFirst(policy: ChoosePolicy): ChoosePolicy {
  return (facts) => {
    const target = policy(facts);
    return target === 'remote' && facts.localFault === null ? 'local' : target;
  };
}
