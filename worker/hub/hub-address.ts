import { NearsightError } from '../../src/protocol/errors.ts';
import type { HubModel } from '../../src/protocol/model-spec.ts';

/** Addresses of a repository on the hub, or on a mirror. */
export class HubAddress {
  readonly #base: URL;
  readonly #id: string;

  /** @throws NearsightError `invalid_request` for a name, a revision or a `baseURL` that cannot be one */
  constructor({ hub, revision = 'main', baseURL = 'https://huggingface.co' }: HubModel) {
    const refuse = (what: string, value: unknown, expected: string) => {
      const message = `Model { hub }: ${what} should be ${expected}, and is ${JSON.stringify(String(value)).slice(0, 80)}.`;
      return new NearsightError('invalid_request', message, { param: 'model' });
    };
    const name = '[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_-])?';
    if (!new RegExp(`^${name}/${name}$`).test(hub)) throw refuse('hub', hub, "a repository's name, 'org/name'");
    if (!/^[\w][\w./-]{0,199}$/.test(revision) || revision.includes('..')) {
      throw refuse('revision', revision, 'a branch, a tag or a commit');
    }
    const address = String(baseURL);
    if (!URL.canParse(address) || !/^https?:$/.test(new URL(address).protocol)) {
      throw refuse('baseURL', address, 'an absolute URL, https: or http:');
    }
    this.#base = new URL(address.endsWith('/') ? address : `${address}/`);
    this.#id = hub;
  }

  /** What the hub says about a branch, a tag or a commit. */
  revision(name: string): string {
    return this.#url(`api/models/${this.#id}/revision/${encodeURIComponent(name)}`);
  }

  /** All files of a commit. */
  tree(commit: string): string {
    return `${this.#url(`api/models/${this.#id}/tree/${commit}`)}?recursive=true`;
  }

  file(commit: string, path: string): string {
    const encoded = path.split('/').map(encodeURIComponent).join('/');
    return this.#url(`${this.#id}/resolve/${commit}/${encoded}`);
  }

  #url(path: string): string {
    return new URL(path, this.#base).href;
  }
}
