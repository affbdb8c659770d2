import { announce, elements, make } from './elements.ts';
import { anyQuestions, samples } from './samples.ts';

/** The image of the current conversation. */
export interface ChosenImage {
  /** A `blob:` URL: short, because every turn sends it, and readable only by this page. */
  url: string;
  questions: readonly string[];
}

/** A chosen file, which may not be an image. */
interface Candidate {
  blob: Blob | Promise<Blob>;
  alt: string;
  questions: readonly string[];
  /** The button of a sample image. */
  button?: HTMLButtonElement;
}

/**
 * What the page reads: more than the library's defaults, because the file is on the device already. The largest photos of many
 * phones have 108 megapixels.
 */
export const LIMITS = { imageBytes: 100e6, pixels: 110e6 };

type Show = (candidate: Candidate) => Promise<void>;

/** Lets the visitor choose a sample, a file, the camera, a drop or a paste. Calls `onChoose` when the image is shown. */
export function offerImages(onChoose: (image: ChosenImage) => void): void {
  let latest: Candidate | undefined;
  const show: Show = async (candidate) => {
    latest = candidate;
    const blob = await candidate.blob;
    const url = URL.createObjectURL(blob);
    const problem = blob.size > LIMITS.imageBytes ? tooMany(blob.size, LIMITS.imageBytes, 'MB') : await problemOf(url);
    if (problem !== undefined && latest === candidate) notify(`${candidate.alt} ${problem}`);
    if (problem !== undefined || latest !== candidate) return URL.revokeObjectURL(url);
    const previous = elements.image.src;
    elements.image.src = url;
    elements.image.alt = candidate.alt;
    elements.image.hidden = false;
    elements.notice.hidden = true;
    for (const other of elements.samples.children) other.ariaPressed = String(other === candidate.button);
    onChoose({ url, questions: candidate.questions });
    URL.revokeObjectURL(previous);
  };
  offerSamples(show);
  offerFiles(show);
}

/** Why the page cannot take an image. Its size is known before it is decoded. */
async function problemOf(url: string): Promise<string | undefined> {
  const image = new Image();
  const started = new Promise((resolve) => {
    for (const event of ['load', 'error']) image.addEventListener(event, resolve, { once: true });
  });
  image.src = url;
  await started;
  const pixels = image.naturalWidth * image.naturalHeight;
  if (pixels > LIMITS.pixels) return tooMany(pixels, LIMITS.pixels, 'megapixels');
  return image.decode().then(
    () => undefined,
    () => 'is not an image that this browser can show. PNG, JPEG, WebP, GIF, AVIF and BMP work.',
  );
}

function tooMany(found: number, allowed: number, unit: string): string {
  const millions = (number: number): string => `${Math.ceil(number / 1e6)} ${unit}`;
  return `has ${millions(found)}, and this page reads images of at most ${millions(allowed)}. Choose a smaller copy of it.`;
}

function notify(problem: string): void {
  elements.notice.textContent = problem;
  elements.notice.hidden = false;
  announce(problem);
}

function offerSamples(show: Show): void {
  const buttons = samples.map(({ url, alt, questions }) => {
    const image = new Image(72, 72);
    image.src = url;
    image.alt = alt;
    const button = make('button', 'sample');
    button.type = 'button';
    button.append(image);
    button.addEventListener('click', () => {
      const blob = fetch(url).then((response) => response.blob());
      void show({ blob, alt, questions, button });
    });
    return button;
  });
  elements.samples.append(...buttons);
  buttons[0]?.click();
}

function offerFiles(show: Show): void {
  const take = (files: FileList | null | undefined): boolean => {
    const file = files?.[0];
    if (file) void show({ blob: file, alt: file.name, questions: anyQuestions });
    return file !== undefined;
  };
  for (const input of [elements.file, elements.camera]) {
    input.addEventListener('change', () => {
      take(input.files);
      input.value = ''; // so that choosing the same file again is a change
    });
  }
  document.addEventListener('paste', (event) => {
    // Cells of a spreadsheet are text and an image of it. In a text field, the text is what is wanted.
    const { clipboardData: data } = event;
    if (isTextField(event.target) && data?.types.includes('text/plain')) return;
    if (take(data?.files)) event.preventDefault();
  });
  document.addEventListener('drop', (event) => {
    document.body.classList.remove('dropping');
    if (isTextFor(event)) return;
    event.preventDefault();
    take(event.dataTransfer?.files);
  });
  document.addEventListener('dragover', (event) => {
    document.body.classList.toggle('dropping', hasFiles(event));
    // Without this, a drop opens the file or the link instead.
    if (!isTextFor(event)) event.preventDefault();
  });
  document.addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) document.body.classList.remove('dropping');
  });
}

const hasFiles = ({ dataTransfer }: DragEvent): boolean => dataTransfer?.types.includes('Files') ?? false;

const isTextField = (target: EventTarget | null): boolean => target instanceof HTMLTextAreaElement;

/** Whether text is dragged to a text field, which takes it by itself. */
const isTextFor = (event: DragEvent): boolean => isTextField(event.target) && !hasFiles(event);
