import { mustBe, quoted } from '../openai/field-checks.ts';
import { ERRORS, NearsightError, type ErrorCode } from '../protocol/errors.ts';
import { POLICIES, type ChoosePolicy, type Policy } from './fetch-options.ts';

export interface RouteInput {
  policy: Policy | ChoosePolicy;
  /** Whether a remote is set up. */
  remote: boolean;
  model: string;
  images: number;
  localFault?: NearsightError | undefined;
  remoteFault?: NearsightError | undefined;
}

/** The policy that made the first choice, `chosen` for the page's own, or the error code that caused the reroute. */
export type Reason = Policy | 'chosen' | ErrorCode;

export type Route = { target: 'local' | 'remote'; reason: Reason } | { target: 'refuse'; error: NearsightError };

/**
 * Decides where a request goes, given what has failed so far. Pure, except for the page's own policy. If both have
 * failed, the later failure is the answer.
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
  // Anything else refuses, such as the promise of an `async` function or a missing `return`.
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

/**
 * The policy of one request: its `x-nearsight-policy` header can only tighten the page's.
 *
 * @throws NearsightError `invalid_request` for a value that is not a policy
 */
export function tighten(policy: Policy | ChoosePolicy, header: string | null): Policy | ChoosePolicy {
  if (header === null) return policy;
  const requested = POLICIES.find((name) => name === header.trim());
  if (!requested) {
    throw mustBe(`one of ${POLICIES.join(', ')}`, header, 'x-nearsight-policy', quoted(header));
  }
  if (requested === 'local-only') return requested;
  if (typeof policy === 'function') return requested === 'local-first' ? localFirst(policy) : policy;
  return POLICIES.indexOf(requested) < POLICIES.indexOf(policy) ? requested : policy;
}

/** The page's own policy, except that the request is tried here before the remote is asked. */
function localFirst(policy: ChoosePolicy): ChoosePolicy {
  return (facts) => {
    const target = policy(facts);
    return target === 'remote' && facts.localFault === null ? 'local' : target;
  };
}
