import type { ModelLicence, ModelSpec, Verdict } from 'nearsight';
import { announce, elements, make } from './elements.ts';
import { failureOf, refusalOf } from './failure.ts';
import { deviceName, licenceName, megabytes, percent, termsOf } from './format.ts';
import type { Models } from './models.ts';
import { isOnHub, offers, type Offer } from './offers.ts';
import { isStored } from './status-text.ts';
import { deleteModel, storageUsage, storedModels } from './store.ts';

/** Lists the models: what each is, what it needs, and what can be done with it. */
export function showPicker(models: Models): void {
  const entries = offers.map((offer) => new Entry(models, offer));
  elements.models.append(...entries.map(({ item }) => item));
  models.subscribe(() => {
    for (const entry of entries) entry.render();
  });
  elements.picker.addEventListener('toggle', () => {
    if (elements.picker.open) void refreshAll(models);
  });
}

/**
 * One after the other: without a loaded model, each starts a worker. The hub is not asked about models that nobody has chosen:
 * what is known of them is enough to choose.
 */
async function refreshAll(models: Models): Promise<void> {
  await showStorage();
  const stored = new Set((await storedModels()).map(({ id }) => id));
  for (const offer of offers) {
    if (!isOnHub(offer) || stored.has(offer.id) || offer === models.offer) await models.refresh(offer);
  }
}

/** Says how much is stored, and lists what this page does not offer: models of another page, or of an earlier version. */
async function showStorage(): Promise<void> {
  const { bytes, available } = await storageUsage();
  const free = available === undefined ? '' : `; the browser has space for ${megabytes(available)} more`;
  elements.usage.textContent = bytes > 0 ? `Stored models take ${megabytes(bytes)}${free}.` : '';
  const known = new Set(offers.map(({ id }) => id));
  const others = (await storedModels()).filter(({ id }) => !known.has(id));
  elements.others.replaceChildren(
    ...others.map((model) => {
      const { id } = model;
      const item = make('li', 'other', `${id}, which this page does not offer (${megabytes(model.bytes)})`);
      const remove = button('Delete');
      remove.ariaLabel = `Delete ${id}`;
      remove.addEventListener(
        'click',
        () => void deleteModel(id).then(showStorage, (error: unknown) => announce(failureOf(error).detail)),
      );
      item.append(remove);
      return item;
    }),
  );
}

/** One model of the list. */
class Entry {
  readonly item = make('li', 'model');
  readonly #models: Models;
  readonly #offer: Offer;
  readonly #badge = make('span', 'badge');
  readonly #facts = make('p', 'facts');
  readonly #terms = make('p', 'terms');
  readonly #problem = make('p', 'problem');
  readonly #use = button('Use');
  readonly #delete = button('Delete');
  readonly #import = make('label', 'file');
  /** Whose hashes a folder's files are compared with. */
  readonly #spec: ModelSpec | undefined;

  constructor(models: Models, offer: Offer) {
    this.#models = models;
    this.#offer = offer;
    const { model, id, name, description } = offer;
    this.#spec = 'hub' in model ? undefined : model;
    const heading = make('h2', '', name);
    heading.append(this.#badge);
    const actions = make('div', 'actions');
    actions.append(this.#use, ...(offer.toy ? [] : [this.#import, this.#delete]));
    this.#delete.ariaLabel = `Delete ${name}`;
    this.#import.append('From a folder', this.#folderInput());
    this.item.append(heading, make('p', '', description), this.#facts, this.#terms, this.#problem, actions);
    this.item.dataset['model'] = id;
    this.#use.addEventListener('click', () => models.use(offer));
    this.#delete.addEventListener('click', () => void this.#remove());
  }

  render(): void {
    const { offer: current } = this.#models;
    const verdict = this.#models.verdictOf(this.#offer);
    const inUse = current === this.#offer;
    this.item.classList.toggle('current', inUse);
    this.#badge.textContent = inUse ? 'in use' : this.#offer.toy ? 'toy' : '';
    this.#badge.hidden = this.#badge.textContent === '';
    this.#facts.textContent = factsOf(this.#offer, verdict).join(' · ');
    this.#showTerms(verdict?.licence ?? this.#offer.licence);
    // The status line has the buttons of the model in use.
    this.#use.hidden = inUse;
    this.#use.disabled = verdict?.verdict === 'no';
    this.#use.textContent = useLabel(this.#offer, verdict);
    this.#use.ariaLabel = `${this.#use.textContent}: ${this.#offer.name}`;
    this.#delete.hidden = (verdict?.storedBytes ?? 0) === 0;
    this.#import.hidden = !this.#spec || isStored(verdict);
  }

  /** Above the button that downloads. */
  #showTerms(licence: ModelLicence): void {
    const terms = termsOf(licence) ?? '';
    if (this.#terms.firstChild?.textContent === terms) return;
    this.#terms.replaceChildren(...(terms === '' ? [] : [terms, ...linkTo(licence)]));
  }

  /** A whole folder, as it was cloned from the hub or copied from another machine. */
  #folderInput(): HTMLInputElement {
    const input = make('input', '');
    input.type = 'file';
    input.webkitdirectory = true;
    input.ariaLabel = `Take ${this.#offer.name} from a folder`;
    input.addEventListener('change', () => {
      const files = Array.from(input.files ?? []);
      input.value = ''; // so that choosing the same folder again is a change
      if (files.length > 0 && this.#spec) void this.#take(this.#spec, files);
    });
    return input;
  }

  async #take(spec: ModelSpec, files: readonly File[]): Promise<void> {
    const { name } = this.#offer;
    const total = this.#models.verdictOf(this.#offer)?.bytes ?? 0;
    announce(`Copying ${name} from the folder.`);
    const onProgress = (bytes: number): void => {
      this.#problem.textContent = `Copying from the folder: ${percent(Math.min(bytes, total), total)}`;
    };
    onProgress(0);
    await this.#attempt(
      () => this.#models.import(this.#offer, spec, files, onProgress),
      `${name} is stored on this device.`,
    );
  }

  async #remove(): Promise<void> {
    const { name } = this.#offer;
    await this.#attempt(() => this.#models.remove(this.#offer), `${name} is deleted.`);
    // The button is gone now.
    (this.#use.hidden ? elements.load : this.#use).focus();
  }

  async #attempt(action: () => Promise<void>, done: string): Promise<void> {
    try {
      await action();
      this.#problem.textContent = '';
      announce(done);
    } catch (error) {
      const { summary, detail } = failureOf(error);
      this.#problem.textContent = `${summary} ${detail}`;
      announce(this.#problem.textContent);
    }
    void showStorage();
  }
}

function useLabel(offer: Offer, verdict: Verdict | undefined): string {
  if (offer.toy || isStored(verdict)) return 'Use';
  const size = verdict?.bytes === undefined ? sizeOf(offer) : megabytes(verdict.bytes - (verdict.storedBytes ?? 0));
  return size === undefined ? 'Download' : `Download (${size})`;
}

/** Size, licence, where it runs, what is stored. */
function factsOf(offer: Offer, verdict: Verdict | undefined): string[] {
  const { licence, toy } = offer;
  const facts = [licenceName(verdict?.licence ?? licence)];
  if (!verdict && isOnHub(offer))
    return [sizeOf(offer) ?? 'size not known', ...facts, 'from Hugging Face, not checked on this device'];
  if (!verdict) return [...facts, 'checking this device…'];
  if (verdict.verdict === 'no') return [...facts, `cannot run here: ${refusalOf(verdict)}`];
  const { bytes = 0, storedBytes = 0 } = verdict;
  facts.unshift(megabytes(bytes));
  facts.push(`runs on ${deviceName(verdict.device)}${verdict.verdict === 'slow' ? `, slowly: ${verdict.reason}` : ''}`);
  if (toy) facts.push('comes with this page');
  else if (isStored(verdict)) facts.push('stored on this device');
  else if (storedBytes > 0) facts.push(`${megabytes(storedBytes)} stored`);
  else facts.push('not stored');
  return facts;
}

/** Before the device is known. */
function sizeOf({ bytes }: Offer): string | undefined {
  if (!bytes) return undefined;
  const [least, most] = [megabytes(bytes.f16), megabytes(bytes.other)];
  return least === most ? most : `${least.replace(' MB', '')} to ${most}`;
}

/** The licence's text, on a page of its own. */
function linkTo({ url }: ModelLicence): (string | HTMLElement)[] {
  if (url === undefined) return [];
  const link = make('a', '', 'Read it');
  link.href = url;
  link.target = '_blank';
  link.rel = 'noreferrer';
  return [' ', link, '.'];
}

function button(label: string): HTMLButtonElement {
  const made = make('button', 'quiet', label);
  made.type = 'button';
  return made;
}
