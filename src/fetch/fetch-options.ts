import type { RemoteOptions } from '../remote/ask-remote.ts';
import type { ChoosePolicy, Policy } from './route.ts';

/** The options of `createNearsight` that only its `fetch` reads. */
export interface FetchOptions {
  /** What `fetch` passes other requests to. @defaultValue the global `fetch`, as it was when this was made */
  fetch?: typeof globalThis.fetch | undefined;
  /** Other names of the local model: requests for them are answered by it. @defaultValue none */
  aliases?: Readonly<Record<string, string>> | undefined;
  /**
   * Who is asked first, and whether anything may leave: `local-only`, `local-first`, `remote-first`, or a function. A
   * request may be stricter by its header `x-nearsight-policy`.
   * @defaultValue 'local-first', which without `remote` sends nothing anywhere
   */
  policy?: Policy | ChoosePolicy | undefined;
  /** The endpoint for what cannot be answered here. @defaultValue none: nothing can be sent */
  remote?: RemoteOptions | undefined;
  /** How images are read. */
  images?: ImageOptions | undefined;
}

/** Where images may come from. */
export interface ImageOptions {
  /** Origins from which images are fetched even under `local-only`. @defaultValue none but the page's own */
  origins?: readonly string[] | undefined;
  /**
   * Read `<img src="…">` in a user's string content as an image.
   * @defaultValue true at NVIDIA's paths with a model in them, whose samples send images so. Elsewhere false: a tag stays
   * text, and one with the image itself in it (`data:`) is refused
   */
  tags?: boolean | undefined;
}
