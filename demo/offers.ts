import type { ModelSpec } from 'nearsight';
import { glimpse } from 'nearsight/glimpse';
import { catalogue } from './catalogue.ts';

/** A model that the visitor can choose. */
export interface Offer {
  spec: ModelSpec;
  /** For headings and buttons. */
  name: string;
  description: string;
  /** Its files come with the page; nothing of it is downloaded from elsewhere or kept in the store. */
  toy: boolean;
}

/** The names that models have on their cards, where it is not the id. */
const NAMES: Record<string, string> = {
  'smolvlm-256m': 'SmolVLM-256M',
  'smolvlm2-256m-video': 'SmolVLM2-256M',
};

const toy: Offer = {
  spec: glimpse,
  name: glimpse.id,
  description: 'A toy that comes with this page. It knows simple drawings, not photographs, and is often wrong.',
  toy: true,
};

/** All models, the toy first. */
export const offers: readonly Offer[] = [
  toy,
  ...catalogue.map((spec) => ({
    spec,
    name: NAMES[spec.id] ?? spec.id,
    description: `${spec.description ?? 'Describes images and answers questions about them'}.`,
    toy: false,
  })),
];

/** The first one that is no toy: what a first visit is offered. */
export const realOffer = offers.find((offer) => !offer.toy);

/** The download of the variant that most devices take. */
export function likelyBytes({ files, variants }: ModelSpec): number {
  const graphs = Object.values(variants[0]?.graphs ?? {});
  const all = [...files, ...graphs.flatMap(({ file, data }) => [file, ...data])];
  return all.reduce((sum, { bytes }) => sum + bytes, 0);
}

const KEY = 'nearsight-demo-model';

/** The model of the last visit; the toy on the first one. */
export function rememberedOffer(): Offer {
  try {
    const id = localStorage.getItem(KEY);
    return offers.find(({ spec }) => spec.id === id) ?? toy;
  } catch {
    // Storage is blocked.
    return toy;
  }
}

/** Keeps the choice for the next visit. It is all that this page stores itself. */
export function rememberOffer({ spec }: Offer): void {
  try {
    localStorage.setItem(KEY, spec.id);
  } catch {
    // The next visit starts with the toy.
  }
}
