import { describe, expect, it, vi } from 'vitest';
import type { ChoosePolicy, Policy } from '../../../src/fetch/fetch-options.ts';
import { route, tighten, type RouteInput } from '../../../src/fetch/route.ts';
import { ERRORS, NearsightError, type ErrorCode } from '../../../src/protocol/errors.ts';

const fault = (code: ErrorCode): NearsightError => new NearsightError(code, code);
const unsupported = fault('unsupported_device');
const down = fault('remote_unavailable');

const decide = (input: Partial<RouteInput>): string => {
  const decision = route({ policy: 'local-first', remote: true, model: 'm', images: 1, ...input });
  return decision.target === 'refuse' ? `refuse: ${decision.error.code}` : `${decision.target}: ${decision.reason}`;
};

describe('route', () => {
  /** policy, remote, local fault, remote fault -> route */
  it.each<[Policy, boolean, NearsightError | undefined, NearsightError | undefined, string]>([
    ['local-only', false, undefined, undefined, 'local: local-only'],
    ['local-only', true, undefined, undefined, 'local: local-only'],
    ['local-only', true, unsupported, undefined, 'refuse: unsupported_device'],
    ['local-first', false, undefined, undefined, 'local: local-only'],
    ['local-first', false, unsupported, undefined, 'refuse: unsupported_device'],
    ['local-first', true, undefined, undefined, 'local: local-first'],
    ['local-first', true, unsupported, undefined, 'remote: unsupported_device'],
    ['local-first', true, unsupported, down, 'refuse: remote_unavailable'],
    ['remote-first', false, undefined, undefined, 'local: local-only'],
    ['remote-first', false, unsupported, undefined, 'refuse: unsupported_device'],
    ['remote-first', true, undefined, undefined, 'remote: remote-first'],
    ['remote-first', true, unsupported, undefined, 'remote: remote-first'],
    ['remote-first', true, undefined, down, 'local: remote_unavailable'],
    ['remote-first', true, unsupported, down, 'refuse: unsupported_device'],
  ])('%s, remote %s, local fault %s, remote fault %s', (policy, remote, localFault, remoteFault, expected) => {
    expect(decide({ policy, remote, localFault, remoteFault })).toBe(expected);
  });

  const final = ['invalid_request', 'request_too_large', 'unsupported_media_type', 'consent_refused', 'policy_refused'];
  const codes = Object.keys(ERRORS) as ErrorCode[];

  it.each(codes)('%s moves the request to the remote, unless the request itself is at fault', (code) => {
    const stays = [...final, 'aborted', 'disposed'].includes(code);
    expect(decide({ localFault: fault(code) })).toBe(stays ? `refuse: ${code}` : `remote: ${code}`);
    expect(decide({ localFault: fault(code), remote: false })).toBe(`refuse: ${code}`);
    expect(decide({ localFault: fault(code), policy: 'local-only' })).toBe(`refuse: ${code}`);
    expect(decide({ localFault: fault(code), policy: 'remote-first' })).toBe(
      stays ? `refuse: ${code}` : 'remote: remote-first',
    );
  });

  it.each(final)('%s at the remote does not move the request back', (code) => {
    expect(decide({ policy: 'remote-first', remoteFault: fault(code as ErrorCode) })).toBe(`refuse: ${code}`);
  });

  it("calls the page's policy, and again with the fault if its choice failed", () => {
    const policy = vi.fn(({ localFault }: { localFault: ErrorCode | null }) => (localFault ? 'remote' : 'local'));
    expect(decide({ policy })).toBe('local: chosen');
    expect(decide({ policy, localFault: unsupported })).toBe('remote: chosen');
    expect(decide({ policy, localFault: unsupported, remoteFault: down })).toBe('refuse: remote_unavailable');
    expect(policy).toHaveBeenLastCalledWith({
      model: 'm',
      images: 1,
      localFault: 'unsupported_device',
      remoteFault: 'remote_unavailable',
    });
  });

  it("does not loop, whatever the page's policy returns", () => {
    expect(decide({ policy: () => 'local', localFault: unsupported })).toBe('refuse: unsupported_device');
    expect(decide({ policy: () => 'remote', remoteFault: down })).toBe('refuse: remote_unavailable');
  });

  it("refuses when the page's policy does", () => {
    expect(decide({ policy: () => 'refuse' })).toBe('refuse: policy_refused');
    expect(decide({ policy: () => 'refuse', localFault: unsupported })).toBe('refuse: unsupported_device');
  });

  it.each<[string, unknown]>([
    ['a misspelt policy', 'local_only'],
    ['a policy that returns nothing', () => undefined],
    ['a policy that is asynchronous', async () => 'local'],
    ['a policy that returns an unknown target', () => 'cloud'],
  ])('sends nothing under %s', (_what, policy) => {
    expect(decide({ policy: policy as Policy })).toBe('refuse: policy_refused');
  });

  it.each<[string, () => 'local' | 'remote' | 'refuse', string]>([
    ['local', () => 'local', 'local: chosen'],
    ['refuse', () => 'refuse', 'refuse: policy_refused'],
    ['remote', () => 'remote', 'refuse: policy_refused'],
  ])("calls the page's policy also without a remote: %s", (_what, policy, expected) => {
    expect(decide({ policy, remote: false })).toBe(expected);
    const failed = decide({ policy, remote: false, localFault: unsupported });
    expect(failed).toBe('refuse: unsupported_device');
  });

  it('refuses with the message of a policy that throws', () => {
    const cause = new Error('no such user');
    const decision = route({
      policy: () => {
        throw cause;
      },
      remote: true,
      model: 'm',
      images: 1,
    });
    const message = "The page's policy failed: Error: no such user";
    expect(decision).toMatchObject({ target: 'refuse', error: { code: 'policy_refused', message, cause } });
  });
});

describe('the header x-nearsight-policy', () => {
  it('must be a policy', () => {
    const message = "x-nearsight-policy must be one of local-only, local-first, remote-first, but it is 'local'.";
    expect(() => tighten('local-first', 'local')).toThrow(message);
  });

  const own = (): 'local' => 'local';

  it.each([
    ['remote-first', null, 'remote-first'],
    ['remote-first', 'local-first', 'local-first'],
    ['remote-first', ' local-only ', 'local-only'],
    ['local-first', 'remote-first', 'local-first'],
    ['local-only', 'remote-first', 'local-only'],
    ['local-only', 'local-first', 'local-only'],
    [own, 'local-only', 'local-only'],
    [own, 'remote-first', own],
  ] as const)('makes %s with %s into %s', (policy, header, expected) => {
    expect(tighten(policy, header)).toBe(expected);
  });

  it("local-first tries the request here before the page's policy can send it elsewhere", () => {
    const asked = vi.fn<ChoosePolicy>(() => 'remote');
    const policy = tighten(asked, 'local-first');
    expect(decide({ policy })).toBe('local: chosen');
    expect(decide({ policy, localFault: unsupported })).toBe('remote: chosen');
    expect(asked).toHaveBeenLastCalledWith(expect.objectContaining({ localFault: 'unsupported_device' }));
    expect(decide({ policy, localFault: unsupported, remoteFault: down })).toBe('refuse: remote_unavailable');
    expect(decide({ policy: tighten(() => 'refuse', 'local-first') })).toBe('refuse: policy_refused');
    expect(decide({ policy: tighten(() => 'local', 'local-first') })).toBe('local: chosen');
    expect(decide({ policy: tighten(own, 'local-first'), localFault: unsupported })).toBe('refuse: unsupported_device');
  });

  it('is refused if its value is not a policy', () => {
    expect(() => tighten('local-first', 'lokal-only')).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });
});
