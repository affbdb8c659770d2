import { createNearsight } from 'nearsight';
import { glimpse } from 'nearsight/glimpse';
import { ask, type Exchange } from './chat.ts';
import { Turn } from './conversation.ts';
import { elements, make } from './elements.ts';
import { failureOf } from './failure.ts';
import { type ChosenImage, offerImages } from './image.ts';
import { deviceName, showStatus } from './status-line.ts';

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
const nearsight = createNearsight({ model: glimpse, device, remote });
if (remote)
  elements.promise.textContent =
    'Ask about an image. If this browser cannot answer, the question may go to NVIDIA, if you agree.';

let image: ChosenImage | undefined;
let history: Exchange[] = [];
/** Stops the current answer; undefined when there is none. */
let answering: AbortController | undefined;

showStatus(nearsight, glimpse.id);
offerImages((chosen) => {
  image = chosen;
  startAgain();
});

elements.composer.addEventListener('submit', (event) => {
  event.preventDefault();
  const text = elements.question.value.trim();
  if (text === '') return elements.question.focus();
  elements.question.value = '';
  void answer(text);
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

/** Asks, and streams the answer to the page. One at a time, because the next question may refer to this answer. */
async function answer(text: string): Promise<void> {
  if (answering || !image) return;
  elements.notice.hidden = true;
  const abort = new AbortController();
  const turn = new Turn(text);
  const loaded = nearsight.status.value.state === 'ready';
  setAnswering(abort);
  const unsubscribe = nearsight.status.subscribe(({ state }) =>
    turn.wait(state === 'ready' ? 'Looking at the image…' : `Waiting for ${glimpse.id} to load…`),
  );
  try {
    const receipt = await ask(nearsight.fetch, {
      model: glimpse.id,
      image: image.url,
      history,
      text,
      signal: abort.signal,
      onText: (piece) => turn.add(piece),
    });
    history.push({ question: text, answer: turn.text });
    const { value } = nearsight.status;
    turn.finish(receipt, deviceName(value.state === 'ready' ? value.facts.device : undefined), loaded);
  } catch (error) {
    // A stopped or failed turn stays on the page, but is not part of the chat history.
    if (abort.signal.aborted) turn.stop();
    else turn.fail(failureOf(error));
  } finally {
    unsubscribe();
    if (answering === abort) setAnswering(undefined);
  }
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
