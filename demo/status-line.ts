import { announce, elements } from './elements.ts';
import { megabytes } from './format.ts';
import type { Models } from './models.ts';
import { realOffer } from './offers.ts';
import { isStored, statusLine } from './status-text.ts';

/** The shortest time between two announcements of a download's progress, in milliseconds. */
const ANNOUNCE_EVERY_MS = 5_000;

/** Shows the state of the model in use, lets the visitor load and pause it, and offers the real one instead of the toy. */
export function showStatus(models: Models): void {
  const { status, statusText, statusProgress, load } = elements;
  const announceState = announcer();

  models.subscribe(() => {
    const { status: value, offer, loading } = models;
    const line = statusLine({ status: value, loading, verdict: models.verdictOf(offer), offer });
    status.dataset['state'] = value.state === 'ready' && value.active > 0 ? 'answering' : value.state;
    statusText.textContent = line.text;
    statusProgress.hidden = line.progress === undefined;
    statusProgress.ariaValueText = line.text;
    if (typeof line.progress === 'number') statusProgress.value = line.progress;
    else statusProgress.removeAttribute('value');
    load.hidden = line.action === undefined;
    load.textContent = line.action ?? '';
    announceState(value.state, line.text);
    showOffer(models);
  });

  load.addEventListener('click', () => {
    if (load.textContent === 'Pause') models.pause();
    else void models.load();
  });
  elements.useReal.addEventListener('click', () => {
    if (!realOffer) return;
    models.use(realOffer);
    // The button is gone now.
    elements.question.focus();
  });
  void refreshVerdicts(models);
}

/** The model in use first: its verdict is on the status line. */
async function refreshVerdicts(models: Models): Promise<void> {
  await models.refresh(models.offer);
  if (realOffer && realOffer !== models.offer) await models.refresh(realOffer);
}

/** Says that the toy is one, with a button for the first real model. From the start, so that the page does not jump. */
function showOffer(models: Models): void {
  const { offer, offerText, useReal } = elements;
  const verdict = realOffer && models.verdictOf(realOffer);
  offer.hidden = !models.offer.toy || !realOffer || verdict?.verdict === 'no';
  if (offer.hidden || !realOffer) return;
  offerText.textContent = `This is a toy that knows simple drawings. ${realOffer.name} understands photographs.`;
  const { bytes, name } = realOffer;
  const size = isStored(verdict) ? 'stored here' : megabytes(verdict?.bytes ?? bytes?.f16 ?? 0);
  useReal.textContent = `Use ${name} (${size})`;
}

/** Announces each new state, and a download's progress now and then. */
function announcer(): (state: string, text: string) => void {
  let announced = 'idle';
  let last = 0;
  return (state, text) => {
    // A load alternates between downloading and preparing.
    const stage = state === 'preparing' ? 'downloading' : state;
    const due = performance.now() - last >= ANNOUNCE_EVERY_MS;
    if (stage === announced && !(state === 'downloading' && due)) return;
    announced = stage;
    if (stage === 'idle') return;
    if (stage === 'downloading') last = performance.now();
    announce(text);
  };
}
