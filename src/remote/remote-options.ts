import { mustBe, oneOf, string, type Check } from '../openai/field-checks.ts';
import { address, call, orCall, within } from '../openai/option-checks.ts';

export const DIALECTS = ['nim1', 'nim2', 'hosted', 'legacy'] as const;

/**
 * What a NIM endpoint accepts. `nim1` and `hosted` reject fields that they do not document; `nim2` is vLLM and ignores
 * them; `legacy` are the catalogue's first vision models (neva, kosmos-2, phi-3-vision, …), each at its own path, with
 * images as `<img>` tags.
 */
export type DialectName = (typeof DIALECTS)[number];

/** One NIM endpoint, and what may be sent there. */
export interface RemoteOptions {
  /** Where it is, up to `/chat/completions`: `/nim` (a proxy of the page's own) or `http://localhost:8000/v1`. */
  baseURL: string | URL;
  /**
   * Its key, or how to get one. It is sent to this address only. A page's visitors can read it: give pages a proxy.
   * @defaultValue none; a client's own key is sent on only where the client meant to send it, to the same origin
   */
  apiKey?: string | (() => string | Promise<string>) | undefined;
  /**
   * What it accepts: `nim1` (vision containers 1.x), `nim2` (vLLM), `hosted` (NVIDIA's catalogue), or `legacy`.
   * @defaultValue 'hosted', or 'legacy' for models that are known to have a path of their own
   */
  dialect?: DialectName | undefined;
  /** The model to ask there when a request names a local one. @defaultValue none, such a request stays here */
  model?: string | undefined;
  /**
   * Asked before an image leaves the device; anything but true answers the request with 403 `consent_refused`.
   * @defaultValue nobody is asked
   */
  consent?: ((request: ConsentRequest) => boolean | Promise<boolean>) | undefined;
  /** Whether cookies go along, for a proxy with a session. @defaultValue 'omit' */
  credentials?: RequestCredentials | undefined;
}

/** What is about to be sent. */
export interface ConsentRequest {
  model: string;
  images: number;
  /** Why the remote is asked: a policy or an error code. */
  reason: string;
  /** The URL that it would be sent to. */
  url: string;
}

const remoteFields = within<RemoteOptions>({
  baseURL: address,
  apiKey: orCall(string),
  dialect: oneOf(...DIALECTS),
  model: string,
  consent: call,
  credentials: oneOf('omit', 'same-origin', 'include'),
});

/** Checks the whole of {@link RemoteOptions}; only the address is required. */
export const checkRemote: Check<RemoteOptions> = (value, path) => {
  const fields = remoteFields(value, path);
  if (!fields.baseURL) throw mustBe('the address of a NIM endpoint', fields.baseURL, `${path}.baseURL`);
  return fields;
};
