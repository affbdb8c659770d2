import { announce } from './elements.ts';

/** Lets a button copy the text of an element, or select it where the browser does not allow that. */
export function copies(button: HTMLButtonElement, source: HTMLElement): void {
  const label = button.textContent;
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(source.textContent ?? '');
      announce('Copied.');
      button.textContent = 'Copied';
    } catch {
      getSelection()?.selectAllChildren(source);
      button.textContent = 'Selected';
    }
    setTimeout(() => (button.textContent = label), 2000);
  };
  button.addEventListener('click', () => void copy());
}
