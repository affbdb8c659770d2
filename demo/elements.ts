/** The parts of the page that scripts touch, found once and checked: a missing one is a mistake in `index.html`. */
export const elements = {
  promise: find('promise', HTMLElement),
  status: find('status', HTMLElement),
  statusText: find('status-text', HTMLElement),
  statusProgress: find('status-progress', HTMLProgressElement),
  load: find('load', HTMLButtonElement),
  stage: find('stage', HTMLElement),
  image: find('image', HTMLImageElement),
  notice: find('notice', HTMLElement),
  samples: find('samples', HTMLElement),
  file: find('file', HTMLInputElement),
  camera: find('camera', HTMLInputElement),
  turns: find('turns', HTMLOListElement),
  suggestions: find('suggestions', HTMLElement),
  composer: find('composer', HTMLFormElement),
  question: find('question', HTMLTextAreaElement),
  ask: find('ask', HTMLButtonElement),
  stop: find('stop', HTMLButtonElement),
  again: find('again', HTMLButtonElement),
  announcer: find('announcer', HTMLElement),
};

function find<T extends HTMLElement>(id: string, type: abstract new () => T): T {
  const element = document.getElementById(id);
  if (element instanceof type) return element;
  throw new Error(`index.html has no #${id} that is a ${type.name}.`);
}

/** Makes an element with a class and text; text is never parsed as HTML. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  text = '',
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

/**
 * Says something to screen readers only. Whole sentences at turning points: an answer that is read out token by token,
 * or a counter of bytes, cannot be listened to.
 */
export function announce(sentence: string): void {
  elements.announcer.textContent = sentence;
}
