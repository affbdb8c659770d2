import type { HubModel, ModelLicence, ModelSpec } from 'nearsight';
import { glimpse } from 'nearsight/glimpse';
import { knownModels } from './catalogue.ts';

/** A model that the visitor can choose. */
export interface Offer {
  model: ModelSpec | HubModel;
  /** What it is called in requests, and in the store. */
  id: string;
  /** For headings and buttons. */
  name: string;
  description: string;
  licence: ModelLicence;
  /** The download where the GPU has `shader-f16`, and elsewhere, as far as it is known. */
  bytes: { f16: number; other: number } | undefined;
  /** Its files come with the page; nothing of it is downloaded from elsewhere or kept in the store. */
  toy: boolean;
}

const toy: Offer = {
  model: glimpse,
  id: glimpse.id,
  name: glimpse.id,
  description: 'A toy that comes with this page. It knows simple drawings, not photographs, and is often wrong.',
  licence: glimpse.licence,
  bytes: undefined,
  toy: true,
};

/** All models, the toy first. */
export const offers: readonly Offer[] = [
  toy,
  ...knownModels.map(({ model, name, goodAt, licence, bytes }) => ({
    model,
    id: 'hub' in model ? model.hub : model.id,
    name,
    description: `${goodAt}.`,
    licence,
    bytes,
    toy: false,
  })),
];

/** The first one that is no toy: what a first visit is offered. */
export const realOffer = offers.find((offer) => !offer.toy);

/** Whether a probe asks the hub which files it has: for what is not stored here, only when the visitor wants to know. */
export function isOnHub({ model }: Offer): boolean {
  return 'hub' in model;
}

const KEY = 'nearsight-demo-model';

/** The model of the last visit; the toy on the first one. */
export function rememberedOffer(): Offer {
  try {
    const id = localStorage.getItem(KEY);
    return offers.find((offer) => offer.id === id) ?? toy;
  } catch {
    // Storage is blocked.
    return toy;
  }
}

/** Keeps the choice for the next visit. It is all that this page stores itself. */
export function rememberOffer({ id }: Offer): void {
  try {
    localStorage.setItem(KEY, id);
  } catch {
    // The next visit starts with the toy.
  }
}
