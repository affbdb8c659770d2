import { NearsightError } from '../../src/protocol/errors.ts';
import type { SampledToken } from '../sampling/cpu-sampler.ts';
import type { CachedStates, SamplingRequest } from './decoder.ts';
import { sampleOnCpu } from './sample-on-cpu.ts';

/** What decoders have in common that run one step after the other, and sample on the CPU. */
export abstract class CpuSampledDecoder {
  abstract readonly kv: CachedStates & { readonly length: number; clear(): void };
  readonly replays = false;
  /** Whether the graph can read several rows behind others. */
  protected abstract readonly readsBehind: boolean;
  protected lastLogits: Float32Array | undefined;
  /** State after the prompt, for further answers to it. */
  #prompt: { length: number; logits: Float32Array | undefined } = { length: 0, logits: undefined };

  /** Reads tokens at once. */
  protected abstract readRows(ids: Int32Array): Promise<void>;

  get length(): number {
    return this.kv.length;
  }

  step(id: number): Promise<void> {
    return this.readRows(Int32Array.of(id));
  }

  async read(ids: Int32Array): Promise<void> {
    if (this.readsBehind) return this.readRows(ids);
    for (const id of ids) await this.step(id);
  }

  async logits(): Promise<Float32Array> {
    if (!this.lastLogits) throw new NearsightError('internal', 'Nothing has been read yet.');
    return this.lastLogits;
  }

  sample(request: SamplingRequest, signal: AbortSignal): AsyncGenerator<SampledToken, void> {
    this.kv.rewind(this.#prompt.length);
    this.lastLogits = this.#prompt.logits;
    return sampleOnCpu(this, request, signal);
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
