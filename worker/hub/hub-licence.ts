import type { ModelLicence } from '../../src/protocol/model-spec.ts';
import { RESTRICTED } from '../../src/protocol/restricted-licences.ts';

/** Licences that allow any use by anybody: the hub's name, and SPDX's. */
const OPEN: Readonly<Record<string, string>> = {
  'apache-2.0': 'Apache-2.0',
  mit: 'MIT',
  'bsd-2-clause': 'BSD-2-Clause',
  'bsd-3-clause': 'BSD-3-Clause',
  'cc0-1.0': 'CC0-1.0',
  'cc-by-4.0': 'CC-BY-4.0',
  'cc-by-sa-4.0': 'CC-BY-SA-4.0',
  isc: 'ISC',
  'cdla-permissive-2.0': 'CDLA-Permissive-2.0',
};

/**
 * The licence that a model's card names.
 *
 * One that is not known, or not named, counts as restricted.
 *
 * @param info the hub's answer about a revision
 */
export function licenceOf(info: Record<string, unknown>): ModelLicence {
  const card: Record<string, unknown> = Object(info['cardData']);
  const tags: unknown[] = Array.isArray(info['tags']) ? info['tags'] : [];
  const tag = tags.map(text).find((one) => one?.startsWith('license:'));
  const name = text(card['license']) ?? tag?.slice('license:'.length);
  if (name !== undefined && Object.hasOwn(OPEN, name)) return { spdx: OPEN[name], restricted: false };
  // The hub says `other` for a licence that has no name of its own there.
  const called = (name === 'other' && text(card['license_name'])) || (name ?? 'unknown');
  const known: Readonly<Record<string, ModelLicence>> = RESTRICTED;
  const restricted = Object.hasOwn(known, called) ? known[called] : undefined;
  if (restricted) return restricted;
  const link = text(card['license_link']);
  const url = link !== undefined && URL.canParse(link) && new URL(link).protocol === 'https:' ? link : undefined;
  return { name: called, ...(url === undefined ? {} : { url }), restricted: true };
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' && value.length <= 200 ? value : undefined;
}
