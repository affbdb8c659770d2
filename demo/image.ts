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

type Show = (candidate: Candidate) => Promise<void>;

/** Lets the visitor choose a sample, a file, the camera, a drop or a paste. Calls `onChoose` when the image is shown. */
export function offerImages(onChoose: (image: ChosenImage) => void): void {
  let latest: Candidate | undefined;
  const show: Show = async (candidate) => {
    latest = candidate;
    const url = URL.createObjectURL(await candidate.blob);
    const readable = await isReadable(url);
    if (!readable && latest === candidate) showUnreadable(candidate.alt);
    if (!readable || latest !== candidate) return URL.revokeObjectURL(url);
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

async function isReadable(url: string): Promise<boolean> {
  const image = new Image();
  image.src = url;
  return image.decode().then(
    () => true,
    () => false,
  );
}

function showUnreadable(name: string): void {
  elements.notice.textContent = `${name} is not an image that this browser can show. PNG, JPEG, WebP, GIF, AVIF and BMP work.`;
  elements.notice.hidden = false;
  announce(elements.notice.textContent);
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
    if (take(event.clipboardData?.files)) event.preventDefault();
  });
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    document.body.classList.remove('dropping');
    take(event.dataTransfer?.files);
  });
  document.addEventListener('dragover', (event) => {
    event.preventDefault(); // without this, a drop opens the file instead
    document.body.classList.toggle('dropping', event.dataTransfer?.types.includes('Files') ?? false);
  });
  document.addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) document.body.classList.remove('dropping');
  });
}
