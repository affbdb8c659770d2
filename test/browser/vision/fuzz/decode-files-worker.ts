// A worker that decodes many files in one turn. `image-fuzz.long.test.ts` builds and serves it.
import { decodeImage } from '../../../../worker/vision/image-decoder.ts';
import { NearsightError } from '../../../../src/protocol/errors.ts';

export interface Order {
  /** Each as base64. */
  files: readonly string[];
}

/** A file's pixels as base64, or why it was refused. Anything but a NearsightError ends the test. */
export type Outcome = { width: number; height: number; rgb: string } | { refused: string };

async function decode(file: string): Promise<Outcome> {
  const bytes = Uint8Array.from(atob(file), (char) => char.charCodeAt(0));
  try {
    const { width, height, data } = await decodeImage({ type: 'image', detail: 'low', bytes, param: 'image' }, 1e6);
    return { width, height, rgb: btoa(Array.from(data, (level) => String.fromCharCode(level)).join('')) };
  } catch (error) {
    if (!(error instanceof NearsightError)) throw error;
    return { refused: error.message };
  }
}

addEventListener('message', async ({ data: { files } }: MessageEvent<Order>) => {
  const outcomes: Outcome[] = [];
  for (const file of files) outcomes.push(await decode(file));
  postMessage(outcomes);
});
