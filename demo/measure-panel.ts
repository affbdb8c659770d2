import { copies } from './copy.ts';
import { announce, elements, make } from './elements.ts';
import { failureOf } from './failure.ts';
import { milliseconds } from './format.ts';
import { measure, type Measurement, type Row } from './measure.ts';
import type { Models } from './models.ts';
import type { Offer } from './offers.ts';

/** Tokens of context after which the time of a token is measured. */
const CONTEXTS = [100, 600];

const NAMES: Record<Row['measure'], string> = {
  image: 'First token about a new image',
  'follow-up': 'First token of a second question',
  decode: 'Each token',
};

/** A line of the chart. Bars are as long as the greatest of their group. */
interface Line {
  name: string;
  ms: number;
  group: 'wait' | 'token';
}

/** The button that measures the loaded model, the chart, and the JSON to copy. */
export class MeasurePanel {
  readonly #models: Models;
  #running: { abort: AbortController; offer: Offer } | undefined;
  /** The model whose result is shown. */
  #shown: Offer | undefined;
  /** Why the times of the current measurement are too long. */
  readonly #disturbances = new Set<string>();

  constructor(models: Models) {
    this.#models = models;
  }

  /** Shows the panel's state from now on. */
  start(): void {
    const { measureRun, measureCopy, measureJson } = elements;
    measureRun.addEventListener('click', () => {
      if (this.#running) this.#running.abort.abort();
      else void this.#measure();
    });
    copies(measureCopy, measureJson);
    document.addEventListener('visibilitychange', () => this.#noteBackground());
    this.#models.subscribe(() => this.#watch());
  }

  /** Follows the model: another one ends a measurement, and its result is no longer of interest. */
  #watch(): void {
    const { offer, status } = this.#models;
    if (this.#running && this.#running.offer !== offer) this.#running.abort.abort();
    if (this.#shown !== offer) elements.measureResult.hidden = true;
    if (this.#running) {
      if (status.state === 'ready' && status.active > 1) this.#disturbances.add('another question was answered');
      return;
    }
    const ready = status.state === 'ready' && status.active === 0;
    elements.measureRun.disabled = !ready;
    elements.measureHint.textContent =
      status.state !== 'ready' ? 'Load a model first.' : ready ? '' : 'Wait for the answer.';
  }

  async #measure(): Promise<void> {
    const { offer, fetch } = this.#models;
    const abort = new AbortController();
    this.#running = { abort, offer };
    this.#disturbances.clear();
    this.#noteBackground();
    elements.measureResult.hidden = true;
    elements.measureRun.textContent = 'Stop';
    announce('Measuring.');
    let end = 'Stopped.';
    try {
      const measured = await measure({
        fetch,
        model: offer.id,
        contexts: CONTEXTS,
        newImage,
        onProgress: (next) => (elements.measureHint.textContent = `Measuring: ${next}…`),
        signal: abort.signal,
      });
      await this.#show(measured, offer);
      end = '';
      announce('Measured.');
    } catch (error) {
      if (!abort.signal.aborted) end = `${failureOf(error).summary} ${failureOf(error).detail}`;
    }
    this.#running = undefined;
    elements.measureRun.textContent = 'Measure this device';
    this.#watch();
    if (end === '') return;
    elements.measureHint.textContent = end;
    announce(end);
  }

  #noteBackground(): void {
    if (this.#running && document.visibilityState === 'hidden')
      this.#disturbances.add('this tab was in the background');
  }

  async #show(measured: Measurement, offer: Offer): Promise<void> {
    const { status, startMs } = this.#models;
    if (status.state !== 'ready') return;
    const disturbances = [...this.#disturbances];
    const lines: Line[] = measured.rows.map(({ measure: kind, tokens, ms }) => ({
      name: kind === 'decode' ? `${NAMES[kind]} after ${tokens} others` : NAMES[kind],
      ms,
      group: kind === 'decode' ? 'token' : 'wait',
    }));
    if (startMs !== undefined) lines.unshift({ name: 'Start from the store', ms: startMs, group: 'wait' });
    elements.measureRows.replaceChildren(...lines.map((line) => rowOf(line, lines)));
    const { device, hardware, dtype } = status.facts;
    elements.measureNote.textContent = [
      `${offer.name} (${dtype}) on ${hardware}. Image: 640x480.`,
      ...(measured.leftOut.length > 0
        ? [`Not measured, because the time was up: ${measured.leftOut.join(', ')}.`]
        : []),
      ...(disturbances.length > 0 ? [`These times are too long: ${disturbances.join(' and ')} meanwhile.`] : []),
    ].join(' ');
    const result = {
      model: offer.id,
      device,
      dtype,
      hardware,
      browser: navigator.userAgent,
      cores: navigator.hardwareConcurrency,
      isolated: crossOriginIsolated,
      date: new Date().toISOString(),
      ...(startMs !== undefined && { startFromStoreMs: Math.round(startMs) }),
      ...measured,
      disturbances,
      debugStats: await this.#models.debugStats(),
    };
    elements.measureJson.textContent = JSON.stringify(result, rounded, 1);
    this.#shown = offer;
    elements.measureResult.hidden = false;
  }
}

/** Name, bar and value. The bar says nothing that the value does not. */
function rowOf({ name, ms, group }: Line, lines: readonly Line[]): HTMLTableRowElement {
  const max = Math.max(...lines.filter((line) => line.group === group).map((line) => line.ms));
  const row = make('tr', group);
  const head = make('th', '', name);
  head.scope = 'row';
  const bar = make('div', 'bar');
  // Not an attribute, which the page's policy forbids.
  bar.style.inlineSize = `${Math.max(1, (100 * ms) / (max || 1))}%`;
  const cell = make('td', 'track');
  cell.ariaHidden = 'true';
  cell.append(bar);
  row.append(head, cell, make('td', 'value', milliseconds(ms)));
  return row;
}

/** Hundredths of a millisecond, which is finer than any clock of a page. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' ? Math.round(value * 100) / 100 : value;
}

let seed = 1 + (Date.now() % 2_147_483_646);

/** 640x480, with shapes and colours that no other has. */
async function newImage(): Promise<string> {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [640, 480];
  const context = canvas.getContext('2d');
  if (!context) throw new Error('This browser gives no canvas.');
  const next = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
  for (let shape = 0; shape < 40; shape++) {
    context.fillStyle = `hsl(${next(360)} 70% ${20 + next(60)}%)`;
    context.fillRect(next(600) - 40, next(440) - 40, 40 + next(240), 40 + next(180));
  }
  return canvas.toDataURL('image/jpeg', 0.9);
}
