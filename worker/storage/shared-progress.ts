import type { ModelFile } from '../../src/protocol/model-spec.ts';

/** What a tab that downloads a file tells the others that wait for it. */
interface Message {
  sha256: string;
  bytes: number;
}

/** The progress of one file, whichever tab downloads it. */
export class Progress {
  readonly #sha256: string;
  readonly #onBytes: (count: number) => void;
  readonly #channel = new BroadcastChannel('nearsight/1/progress');
  #reported = 0;
  #own = 0;

  constructor({ sha256 }: ModelFile, onBytes: (count: number) => void) {
    this.#sha256 = sha256;
    this.#onBytes = onBytes;
    this.#channel.onmessage = ({ data }: MessageEvent<Message>) => {
      if (data.sha256 === sha256) this.#report(data.bytes);
    };
  }

  /** So many bytes have arrived here. */
  add(count: number): void {
    this.#own += count;
    this.upTo(this.#own);
    this.#channel.postMessage({ sha256: this.#sha256, bytes: this.#own } satisfies Message);
  }

  upTo(bytes: number): void {
    this.#report(bytes);
  }

  close(): void {
    this.#channel.close();
  }

  #report(bytes: number): void {
    if (bytes <= this.#reported) return;
    this.#onBytes(bytes - this.#reported);
    this.#reported = bytes;
  }
}
