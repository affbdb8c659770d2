/** The error table written out a second time, so that no trait changes by accident. */
import { expect, it } from 'vitest';
import { ERRORS, type ErrorCode, type ErrorTraits } from '../../../src/protocol/errors.ts';

const having = (filter: (traits: ErrorTraits) => boolean): string[] =>
  (Object.keys(ERRORS) as ErrorCode[]).filter((code) => filter(ERRORS[code])).toSorted();

it.each<[status: number, codes: ErrorCode[]]>([
  [
    400,
    [
      'constraint_unsatisfiable',
      'context_length_exceeded',
      'invalid_request',
      'unreadable_image',
      'unsupported_field',
      'unsupported_schema',
    ],
  ],
  [401, ['unauthorized']],
  [403, ['consent_refused', 'origin_refused', 'policy_refused']],
  [404, ['model_not_found', 'unknown_url']],
  [405, ['method_not_allowed']],
  [413, ['request_too_large']],
  [415, ['unsupported_media_type']],
  [429, ['queue_full', 'rate_limited']],
  [499, ['aborted']],
  [500, ['device_lost', 'gpu_error', 'internal', 'worker_crashed']],
  [502, ['remote_unavailable']],
  [503, ['disposed', 'integrity', 'load_failed', 'storage_unavailable', 'unsupported_device']],
])('%i is the status of these errors', (status, codes) => {
  expect(having((traits) => traits.status === status)).toEqual(codes);
});

it('these errors may be retried', () => {
  const codes = ['device_lost', 'gpu_error', 'load_failed', 'queue_full', 'rate_limited'];
  expect(having(({ retry }) => retry === true)).toEqual([...codes, 'remote_unavailable', 'worker_crashed']);
});

it('these errors are not rerouted', () => {
  const codes = ['aborted', 'consent_refused', 'disposed', 'invalid_request', 'policy_refused'];
  expect(having(({ reroute }) => reroute === false)).toEqual([...codes, 'request_too_large', 'unsupported_media_type']);
});

it('these errors replace the worker', () => {
  expect(having(({ fatal }) => fatal === true)).toEqual(['device_lost', 'gpu_error', 'worker_crashed']);
});
