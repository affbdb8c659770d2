import type { ErrorCode } from '../protocol/errors.ts';
import { array, boolean, oneOf, type Check } from '../openai/field-checks.ts';
import { address, call, orCall, strings, within } from '../openai/option-checks.ts';
import { checkRemote, type RemoteOptions } from '../remote/remote-options.ts';

/** The strictest first. */
export const POLICIES = ['local-only', 'local-first', 'remote-first'] as const;

/** Who is asked first, and whether the other may be asked at all. */
export type Policy = (typeof POLICIES)[number];

/** The facts of a request that a page's own policy gets. */
export interface RouteFacts {
  /** The model that the request names. */
  model: string;
  /** How many images would leave the device. */
  images: number;
  /** Why it cannot be answered here; null while no reason is known. */
  localFault: ErrorCode | null;
  /** Why the remote has not answered; null if it was not asked. */
  remoteFault: ErrorCode | null;
}

/** A page's own policy. It is called again with the fault if its choice fails before the first token. */
export type ChoosePolicy = (facts: RouteFacts) => 'local' | 'remote' | 'refuse';

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
  /**
   * Origins from which images are fetched even under `local-only`. A path is one of the document's base URL.
   * @defaultValue none but the page's own
   */
  origins?: readonly string[] | undefined;
  /**
   * Read `<img src="…">` in a user's string content as an image.
   * @defaultValue true at NVIDIA's paths with a model in them, whose samples send images so. Elsewhere false: a tag stays
   * text, and one with the image itself in it (`data:`) is refused
   */
  tags?: boolean | undefined;
}

/** A check for each of {@link FetchOptions}; `createNearsight` adds those of its own options. */
export const fetchOptionChecks: Record<keyof FetchOptions, Check<unknown>> = {
  fetch: call,
  aliases: strings,
  policy: orCall(oneOf(...POLICIES)),
  remote: checkRemote,
  images: within<ImageOptions>({ origins: array(address, 0, Infinity), tags: boolean }),
};
