import { NearsightError } from '../../../src/protocol/errors.ts';
import type { Prompt, PromptPositions } from '../../families/processor.ts';
import { failedRun, isOutOfMemory } from '../../backend/kv-cache.ts';
import { CpuSampledDecoder } from '../../generation/cpu-sampled-decoder.ts';
import type { Decoder } from '../../generation/decoder.ts';
import { featureMerger } from '../../generation/merge-features.ts';
import { chunkRows, firstRows, promptChunks } from '../../generation/prompt-chunks.ts';
import { ATTENTION_MASK, INPUTS_EMBEDS, LOGITS, LOGITS_TO_KEEP, POSITION_IDS } from '../../onnx/decoder-ports.ts';
import type { Tensors } from '../../onnx/ort-session.ts';
import type { Tensor } from '../../onnx/ort.ts';
import { int64, rowsOf } from '../../onnx/tensor.ts';
import { CheckpointedCache } from './checkpointed-cache.ts';
import type { TransformersKit } from './kit.ts';
import type { TransformersModel } from './transformers-model.ts';

/**
 * A template's opening of an answer is shorter. The checkpoint before it serves the next question where the template drops
 * parts of earlier answers, or writes the opening of an answer in another way than the answer itself.
 */
const OPENING_TOKENS = 16;

/**
 * A checkpoint needs a run of its own, which takes at least as long as these many rows more: on wasm, onnxruntime dequantizes all
 * weights in each. So fewer rows are rather read again.
 */
const ROWS_OF_A_RUN = 64;

/** Runs a decoder as transformers.js does, one step after the other. */
export class TransformersDecoder extends CpuSampledDecoder implements Decoder {
  readonly kv: CheckpointedCache;
  readonly #kit: TransformersKit;
  readonly #model: TransformersModel;
  readonly #maxRows: number;
  /** Graphs with MultiHeadAttention cannot. */
  #readsBehind = true;
  #ones = new BigInt64Array(0);
  #positions: PromptPositions | undefined;

  constructor(kit: TransformersKit, model: TransformersModel) {
    super();
    this.#kit = kit;
    this.#model = model;
    this.kv = new CheckpointedCache(kit);
    this.#maxRows = Math.min(kit.maxRows ?? Infinity, chunkRows(kit.sessions.decoder));
  }

  get precision(): 'float32' | 'float16' {
    return this.kv.type;
  }

  /** Finds out how the graph can be run. Drops all positions. */
  async calibrate(): Promise<void> {
    try {
      for (let run = 0; run < 2; run++) await this.readRows(Int32Array.of(1, 2));
    } catch (error) {
      if (isOutOfMemory(error) || error instanceof WebAssembly.RuntimeError) throw error;
      this.#readsBehind = false;
    }
    this.clear();
    // Throws if it cannot be run at all.
    for (let run = 0; run < 2; run++) await this.readRows(Int32Array.of(1));
    const logits = await this.logits();
    this.clear();
    if (!logits.every(Number.isFinite)) {
      throw new NearsightError('unsupported_device', 'some logits are not finite numbers');
    }
  }

  reset(positions: number, kept = 0): Promise<void> {
    return this.kv.reserve(positions, kept);
  }

  plan({ positions }: Prompt): void {
    this.#positions = positions;
  }

  async prefill(
    ids: Int32Array,
    imageTokenId: number,
    features: readonly Tensor[],
    signal: AbortSignal,
  ): Promise<void> {
    const merge = featureMerger(features, imageTokenId);
    const afterImages = ids.lastIndexOf(imageTokenId) + 1;
    const beforeOpening = ids.length - OPENING_TOKENS;
    const isWorth = beforeOpening - afterImages >= ROWS_OF_A_RUN;
    const marks = this.kv.hasStates ? [afterImages, ...(isWorth ? [beforeOpening] : [])] : [];
    let done = 0;
    const rows = (): number => Math.min(this.maxRows(), (marks.find((at) => at > done) ?? ids.length) - done);
    for await (const chunk of promptChunks(ids, rows, signal)) {
      done += chunk.length;
      await this.readRows(chunk, (embeddings) =>
        merge(chunk, (tensor, row, count, at) => {
          checkAlike(tensor, embeddings);
          this.#kit.memory.copyRows(tensor, row, count, embeddings, at);
        }),
      );
      if (marks.includes(done) || done === ids.length) this.kv.checkpoint();
    }
    this.endPrompt();
  }

  override clear(): void {
    super.clear();
    this.#positions = undefined;
  }

  get buffers(): number {
    return this.#kit.memory.buffers() + this.kv.buffers;
  }

  close(): void {
    this.clear();
    this.#kit.memory.close();
  }

  protected maxRows(): number {
    if (this.#readsBehind) return this.#maxRows;
    return this.length === 0 ? firstRows(this.#kit.sessions.decoder, this.#kit.maxRows) : 1;
  }

  protected async readRows(ids: Int32Array, mergeFeatures?: (embeddings: Tensor) => void): Promise<void> {
    const { release, memory, device } = this.#kit;
    let embedded: Tensors = {};
    let targets: Tensors = {};
    let outputs: Tensors;
    try {
      embedded = await this.#embed(ids);
      targets = await this.kv.targets(ids.length);
      const embeddings = embedded[INPUTS_EMBEDS];
      if (!embeddings) throw new NearsightError('internal', `The embedding graph returned no ${INPUTS_EMBEDS}.`);
      mergeFeatures?.(embeddings);
      outputs = await this.#model.forward({ ...embedded, ...this.#feeds(ids.length) }, this.kv.feeds(), targets);
    } catch (error) {
      this.kv.discard(targets);
      throw device ? error : failedRun(error, ids.length, this.length);
    } finally {
      Object.values(embedded).forEach(release);
    }
    const { [LOGITS]: logits, ...present } = outputs;
    this.kv.advance(ids.length, present);
    if (!logits) throw new NearsightError('internal', 'The decoder returned no logits.');
    try {
      this.lastLogits = await memory.readRow(logits, rowsOf(logits).rows - 1);
    } finally {
      release(logits);
    }
  }

  /** Some families have more inputs for each token than one embedding. */
  async #embed(ids: Int32Array): Promise<Tensors> {
    const { ort, memory, sessions } = this.#kit;
    const embedded = await sessions.embed.run({ input_ids: int64(ort, ids, [1, ids.length]) });
    for (const [name, tensor] of Object.entries(embedded)) embedded[name] = memory.upload(tensor);
    return embedded;
  }

  #feeds(count: number): Tensors {
    const { ort } = this.#kit;
    const total = this.length + count;
    if (this.#ones.length < total) this.#ones = new BigInt64Array(2 * total).fill(1n);
    const feeds: Tensors = {
      [ATTENTION_MASK]: new ort.Tensor('int64', this.#ones.subarray(0, total), [1, total]),
      [LOGITS_TO_KEEP]: int64(ort, Int32Array.of(1), []),
    };
    // Others are counted by transformers.js.
    if (this.#model.hasGridPositions) feeds[POSITION_IDS] = this.#gridPositions(count);
    return feeds;
  }

  #gridPositions(count: number): Tensor {
    const { axes = [], next = 0 } = this.#positions ?? {};
    const positions = new BigInt64Array(3 * count);
    for (let axis = 0; axis < 3; axis++) {
      const known = axes[axis] ?? new Int32Array(0);
      for (let row = 0; row < count; row++) {
        const at = this.length + row;
        positions[axis * count + row] = BigInt(known[at] ?? next + at - known.length);
      }
    }
    return new this.#kit.ort.Tensor('int64', positions, [3, 1, count]);
  }
}

/** Rows are copied as they are. */
function checkAlike(features: Tensor, embeddings: Tensor): void {
  const [given, taken] = [features, embeddings].map((tensor) => `${rowsOf(tensor).width} ${tensor.type}`);
  if (given === taken) return;
  throw new NearsightError(
    'load_failed',
    `The vision encoder returns rows of ${given}; the decoder takes rows of ${taken}.`,
  );
}
