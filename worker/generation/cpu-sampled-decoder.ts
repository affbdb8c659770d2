import { NearsightError } from '../../src/protocol/errors.ts';
import type { SampledToken } from '../sampling/cpu-sampler.ts';
import type { CachedStates, SamplingRequest } from './decoder.ts';
import { promptChunks } from './prompt-chunks.ts';
import { sampleOnCpu } from './sample-on-cpu.ts';

/** What decoders have in common that run one step after the other, and sample on the CPU. */
export abstract class CpuSampledDecoder {
  abstract readonly kv: CachedStates & { readonly length: number; clear(): void };
  readonly replays = false;
  protected lastLogits: Float32Array | undefined;
  /** State after the prompt, for further answers to it. */
  #prompt: { length: number; logits: Float32Array | undefined } = { length: 0, logits: undefined };

  abstract reset(positions: number, kept: number): Promise<void>;

  /** The most rows to read at once after those read so far. */
  protected abstract maxRows(): number;

  /** Reads tokens at once. */
  protected abstract readRows(ids: Int32Array): Promise<void>;

  get length(): number {
    return this.kv.length;
  }

  step(id: number): Promise<void> {
    return this.readRows(Int32Array.of(id));
  }

  async read(ids: Int32Array, signal: AbortSignal): Promise<void> {
    for await (const chunk of promptChunks(ids, () => this.maxRows(), signal)) await this.readRows(chunk);
  }

  async logits(): Promise<Float32Array> {
    if (!this.lastLogits) throw new NearsightError('internal', 'Nothing has been read yet.');
    return this.lastLogits;
  }

  async *sample(request: SamplingRequest, signal: AbortSignal): AsyncGenerator<SampledToken, void> {
    const { length, logits } = this.#prompt;
    // Not only a rewind: an earlier answer may have used up what was reserved.
    await this.reset(length, length);
    this.lastLogits = logits;
    yield* sampleOnCpu(this, request, signal);
  }

  clear(): void {
    this.kv.clear();
    this.lastLogits = undefined;
    this.#prompt = { length: 0, logits: undefined };
  }

  /** The prompt has been read. */
  protected endPrompt(): void {
    this.#prompt = { length: this.length, logits: this.lastLogits };
  }
}
