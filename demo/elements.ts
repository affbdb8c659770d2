/** The page's elements that scripts use. Throws at once if `index.html` lacks one. */
export const elements = {
  promise: find('promise', HTMLElement),
  status: find('status', HTMLElement),
  statusText: find('status-text', HTMLElement),
  statusProgress: find('status-progress', HTMLProgressElement),
  load: find('load', HTMLButtonElement),
  offer: find('offer', HTMLElement),
  offerText: find('offer-text', HTMLElement),
  useReal: find('use-real', HTMLButtonElement),
  picker: find('picker', HTMLDetailsElement),
  models: find('models', HTMLElement),
  usage: find('usage', HTMLElement),
  others: find('others', HTMLElement),
  measureHint: find('measure-hint', HTMLElement),
  measureRun: find('measure-run', HTMLButtonElement),
  measureResult: find('measure-result', HTMLElement),
  measureRows: find('measure-rows', HTMLElement),
  measureNote: find('measure-note', HTMLElement),
  measureJson: find('measure-json', HTMLElement),
  measureCopy: find('measure-copy', HTMLButtonElement),
  stage: find('stage', HTMLElement),
  image: find('image', HTMLImageElement),
  notice: find('notice', HTMLElement),
  samples: find('samples', HTMLElement),
  file: find('file', HTMLInputElement),
  camera: find('camera', HTMLInputElement),
  turns: find('turns', HTMLOListElement),
  suggestions: find('suggestions', HTMLElement),
  asText: find('as-text', HTMLInputElement),
  asData: find('as-data', HTMLInputElement),
  data: find('data', HTMLElement),
  ready: find('ready', HTMLSelectElement),
  toyNote: find('toy-note', HTMLElement),
  editor: find('editor', HTMLDetailsElement),
  schema: find('schema', HTMLTextAreaElement),
  problem: find('problem', HTMLElement),
  code: find('code', HTMLDetailsElement),
  request: find('request', HTMLElement),
  copy: find('copy', HTMLButtonElement),
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
 * Says something to screen readers only. Call it with whole sentences when the state changes, not with every token or
 * byte count.
 */
export function announce(sentence: string): void {
  elements.announcer.textContent = sentence;
}
