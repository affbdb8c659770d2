import { ask, ChatError, type Exchange } from './chat.ts';
import { Turn } from './conversation.ts';
import type { AnswerFormat } from './answer-format.ts';
import { DataPanel } from './data-panel.ts';
import { elements, make } from './elements.ts';
import { failureOf } from './failure.ts';
import { deviceName } from './format.ts';
import { type ChosenImage, LIMITS, offerImages } from './image.ts';
import { MeasurePanel } from './measure-panel.ts';
import { Models } from './models.ts';
import { rememberedOffer } from './offers.ts';
import { registerOffline } from './offline.ts';
import { showPicker } from './picker.ts';
import { showStatus } from './status-line.ts';

const wanted = new URLSearchParams(location.search).get('device');
const device = wanted === 'webgpu' || wanted === 'wasm' ? wanted : 'auto';
/** Set if this page's server forwards requests to NVIDIA; see vite.config.ts. */
const nimModel = String(import.meta.env['VITE_NIM_MODEL'] ?? '');
const remote = nimModel
  ? {
      baseURL: new URL('nim', document.baseURI),
      model: nimModel,
      consent: () => confirm('This device cannot answer. Send the question and the image to NVIDIA?'),
    }
  : undefined;
const models = new Models(rememberedOffer(), { device, remote, limits: LIMITS }, registerOffline());
if (remote)
  elements.promise.textContent =
    'Ask about an image. If this browser cannot answer, the question may go to NVIDIA, if you agree.';

let image: ChosenImage | undefined;
let history: Exchange[] = [];
/** Stops the current answer; undefined when there is none. */
let answering: AbortController | undefined;

let answered = models.offer;
models.subscribe(() => {
  if (answered === models.offer) return;
  // Earlier answers are another model's.
  answered = models.offer;
  startAgain();
});
showStatus(models);
showPicker(models);
const dataPanel = new DataPanel(models);
new MeasurePanel(models).start();
offerImages((chosen) => {
  image = chosen;
  startAgain();
});

elements.composer.addEventListener('submit', (event) => {
  event.preventDefault();
  const text = elements.question.value.trim();
  if (text === '') return elements.question.focus();
  // Enter still submits while the button is hidden. The question stays until it can be asked.
  if (answering || !image) return;
  let format: AnswerFormat | undefined;
  try {
    format = dataPanel.format();
  } catch {
    // The panel says what is wrong with the schema.
    return;
  }
  // A question for data stays: the next one is often the same, about another image.
  if (!format) elements.question.value = '';
  void answer(text, format);
});
elements.question.addEventListener('keydown', (event) => {
  // During input method composition, Enter accepts a word.
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  elements.composer.requestSubmit();
});
elements.stop.addEventListener('click', () => answering?.abort());
elements.again.addEventListener('click', startAgain);
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') answering?.abort();
});

/** Errors about what the answer must be. */
const REFUSED = new Set(['unsupported_schema', 'constraint_unsatisfiable', 'invalid_request']);

/** Asks, and streams the answer to the page. One at a time, because the next question may refer to this answer. */
async function answer(text: string, format?: AnswerFormat): Promise<void> {
  if (answering || !image) return;
  elements.notice.hidden = true;
  const asked = performance.now();
  const abort = new AbortController();
  const turn = new Turn(text, format);
  const { offer } = models;
  const loaded = models.status.state === 'ready';
  setAnswering(abort);
  const unsubscribe = models.subscribe(() =>
    turn.wait(models.status.state === 'ready' ? 'Looking at the image…' : `Waiting for ${offer.name} to load…`),
  );
  try {
    await loadedFor(abort);
    const receipt = await ask(models.fetch, {
      model: offer.id,
      image: image.url,
      // A conversation in front of it would draw the answer towards sentences.
      history: format ? [] : history,
      text,
      fields: format?.fields,
      asked,
      signal: abort.signal,
      onText: (piece) => turn.add(piece),
    });
    if (!format) history.push({ question: text, answer: turn.text });
    const { status } = models;
    turn.finish(receipt, deviceName(status.state === 'ready' ? status.facts.device : undefined), loaded);
  } catch (error) {
    // A stopped or failed turn stays on the page, but is not part of the chat history.
    if (abort.signal.aborted) turn.stop();
    else turn.fail(failureOf(error));
    if (format && error instanceof ChatError && REFUSED.has(error.code)) dataPanel.refuse(error.message);
  } finally {
    unsubscribe();
    if (answering === abort) setAnswering(undefined);
  }
}

/** Waits for the model. A stopped question leaves the load alone; a paused load stops the question. */
async function loadedFor(abort: AbortController): Promise<void> {
  const stopped = new Promise<void>((resolve) => {
    abort.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await Promise.race([models.load(), stopped]);
  const { status } = models;
  // Another party may answer if the model cannot.
  if (status.state === 'failed' && !remote) throw status.error;
  if (status.state === 'idle') abort.abort();
  abort.signal.throwIfAborted();
}

function setAnswering(abort: AbortController | undefined): void {
  const focused = document.activeElement;
  answering = abort;
  elements.ask.hidden = abort !== undefined;
  elements.stop.hidden = abort === undefined;
  elements.again.hidden = abort !== undefined || elements.turns.childElementCount === 0;
  for (const button of elements.suggestions.querySelectorAll('button')) button.disabled = abort !== undefined;
  // When the focused button is hidden or disabled, the focus must move elsewhere.
  if (focused instanceof HTMLButtonElement && (focused.hidden || focused.disabled)) {
    (abort ? elements.stop : elements.question).focus();
  }
}

/** Starts an empty conversation about the current image. */
function startAgain(): void {
  answering?.abort();
  history = [];
  elements.turns.replaceChildren();
  elements.suggestions.replaceChildren(
    ...(image?.questions ?? []).map((question) => {
      const button = make('button', 'quiet', question);
      button.type = 'button';
      button.addEventListener('click', () => void answer(question));
      return button;
    }),
  );
  setAnswering(undefined);
}
