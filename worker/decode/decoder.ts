import { NearsightError } from '../../src/wire/error.ts';
import type { Ort, Tensor } from '../onnx/ort.ts';
import { release, type Session, type Tensors } from '../onnx/session.ts';
import { SEQLENS_K, TOTAL_LENGTH } from '../onnx/surgery/lengths.ts';
import { type KvCache, kvLayout } from './kv.ts';
import { elementBytes, type Memory, rowsOf } from './memory.ts';
import { pause } from './pause.ts';

/** Most rows that a chunk of the prompt has: the shortest wait between two looks at the abort signal. */
const CHUNK_ROWS = 512;

/** Graphs that give logits for every row are fed so few that the logits stay below this. */
const CHUNK_LOGIT_BYTES = 64 << 20;

/** The language model: embeds token ids, lays pictures' features over them, and keeps what it has read. */
export class Decoder {
  /** What keys and values are kept in, and most likely all that is computed from them. */
  readonly precision: 'float32' | 'float16';
  readonly #ort: Ort;
  readonly #embed: Session;
  readonly #session: Session;
  readonly #memory: Memory;
  readonly #cache: KvCache;
  readonly #chunkRows: number;
  /** The mask has no holes: one for each position there is. */
  #ones = new BigInt64Array(0);

  /**
   * @param mostRows of a prompt to read at once; default: 512, or as many as the logits of every row allow
   * @throws NearsightError `load_failed` if the graphs do not fit together, or need inputs that are unknown here
   */
  constructor(ort: Ort, embed: Session, session: Session, memory: Memory, mostRows = CHUNK_ROWS) {
    checkPorts(embed, session);
    this.#ort = ort;
    this.#embed = embed;
    this.#session = session;
    this.#memory = memory;
    const layout = kvLayout(session);
    this.precision = layout.type;
    this.#cache = memory.cache(layout);
    this.#chunkRows = Math.min(mostRows, chunkRows(session));
  }

  /** Positions read so far. */
  get length(): number {
    return this.#cache.length;
  }

  /** Starts over, with room for `positions`. */
  reset(positions: number): void {
    this.#cache.reserve(positions);
    this.#cache.rewind(0);
    if (this.#ones.length < positions) this.#ones = new BigInt64Array(positions).fill(1n);
  }

  /** Goes back to an earlier position, so that another answer can be given to the same prompt. */
  rewind(length: number): void {
    this.#cache.rewind(length);
  }

  /**
   * Reads a prompt, or more of it, chunk by chunk.
   *
   * @param features the pictures' features in order, [views, rows, hidden] each; their rows replace the embeddings
   *   of `imageTokenId`, one after the other
   * @returns the logits that follow the prompt's last token
   */
  async prefill(
    ids: Int32Array,
    imageTokenId: number,
    features: readonly Tensor[],
    signal: AbortSignal,
  ): Promise<Float32Array> {
    const rows = new FeatureRows(features, this.#memory);
    let logits: Float32Array | undefined;
    for (let start = 0; start < ids.length; start += this.#chunkRows) {
      await pause(signal);
      const chunk = ids.subarray(start, start + this.#chunkRows);
      const last = start + chunk.length === ids.length;
      logits = await this.#read(chunk, last, (embeddings) => rows.lay(chunk, imageTokenId, embeddings));
    }
    signal.throwIfAborted();
    if (!logits) throw new NearsightError('invalid_request', 'The prompt is empty.');
    return logits;
  }

  /** Reads one token. Returns the logits that follow it. */
  async step(id: number): Promise<Float32Array> {
    const logits = await this.#read(Int32Array.of(id), true);
    if (!logits) throw new NearsightError('internal', 'The decoder gave no logits.');
    return logits;
  }

  async #read(ids: Int32Array, wanted: boolean, lay?: (embeddings: Tensor) => void): Promise<Float32Array | undefined> {
    const { inputs_embeds: embeddings } = await this.#embed.run({ input_ids: this.#integers(ids, [1, ids.length]) });
    if (!embeddings) throw new NearsightError('internal', 'The embedding graph gave no inputs_embeds.');
    let outputs: Tensors;
    try {
      lay?.(embeddings);
      outputs = await this.#session.run(this.#feeds(embeddings, ids.length), this.#cache.targets());
    } finally {
      release(embeddings);
    }
    this.#cache.advance(ids.length, outputs);
    const { logits } = outputs;
    if (!logits) throw new NearsightError('internal', 'The decoder gave no logits.');
    try {
      return wanted ? await this.#memory.readRow(logits, rowsOf(logits).rows - 1) : undefined;
    } finally {
      release(logits);
    }
  }

  #feeds(embeddings: Tensor, count: number): Tensors {
    const past = this.#cache.length;
    const feeds: Tensors = { ...this.#cache.feeds(), inputs_embeds: embeddings };
    const { inputs } = this.#session;
    if (inputs.has(SEQLENS_K)) feeds[SEQLENS_K] = this.#int32(past + count - 1);
    if (inputs.has(TOTAL_LENGTH)) feeds[TOTAL_LENGTH] = this.#int32(past + count);
    if (inputs.has('attention_mask')) {
      const mask = this.#ones.subarray(0, past + count);
      feeds['attention_mask'] = new this.#ort.Tensor('int64', mask, [1, mask.length]);
    }
    if (inputs.has('position_ids')) {
      const positions = Int32Array.from({ length: count }, (_, row) => past + row);
      feeds['position_ids'] = this.#integers(positions, [1, count]);
    }
    if (inputs.has('num_logits_to_keep')) feeds['num_logits_to_keep'] = this.#integers(Int32Array.of(1), []);
    return feeds;
  }

  #int32(value: number): Tensor {
    return new this.#ort.Tensor('int32', Int32Array.of(value), [1]);
  }

  #integers(values: Int32Array, dims: number[]): Tensor {
    return new this.#ort.Tensor('int64', BigInt64Array.from(values, BigInt), dims);
  }
}

/** Walks through the rows of several feature tensors as if they were one. */
class FeatureRows {
  readonly #tensors: readonly Tensor[];
  readonly #memory: Memory;
  #tensor = 0;
  #row = 0;

  constructor(tensors: readonly Tensor[], memory: Memory) {
    this.#tensors = tensors;
    this.#memory = memory;
  }

  /** Lays the next rows over the embeddings of each run of image tokens in `ids`. */
  lay(ids: Int32Array, imageTokenId: number, embeddings: Tensor): void {
    for (let at = 0; at < ids.length; at++) {
      if (ids[at] !== imageTokenId) continue;
      const tensor = this.#tensors[this.#tensor];
      if (!tensor)
        throw new NearsightError('internal', 'The prompt has more image tokens than its pictures have features.');
      const { rows } = rowsOf(tensor);
      let count = 1;
      while (ids[at + count] === imageTokenId && this.#row + count < rows) count++;
      this.#memory.copyRows(tensor, this.#row, count, embeddings, at);
      at += count - 1;
      this.#row += count;
      if (this.#row === rows) {
        this.#tensor++;
        this.#row = 0;
      }
    }
  }
}

function chunkRows({ inputs, outputs }: Session): number {
  const [, logitRows, vocab] = outputs.get('logits')?.shape ?? [];
  if (logitRows === 1 || inputs.has('num_logits_to_keep') || typeof vocab !== 'number') return CHUNK_ROWS;
  const rows = Math.floor(CHUNK_LOGIT_BYTES / (vocab * elementBytes(outputs.get('logits')?.type ?? 'float32')));
  return Math.max(32, Math.min(CHUNK_ROWS, rows));
}

const INPUTS =
  /^(inputs_embeds|attention_mask|position_ids|num_logits_to_keep|seqlens_k|total_sequence_length|past_key_values\..+)$/;

function checkPorts(embed: Session, decoder: Session): void {
  const unknown = [...decoder.inputs.keys()].find((name) => !INPUTS.test(name));
  if (unknown)
    throw new NearsightError('load_failed', `The decoder has an input that nearsight does not know: ${unknown}.`);
  const given = embed.outputs.get('inputs_embeds')?.type;
  const taken = decoder.inputs.get('inputs_embeds')?.type;
  if (!given || given !== taken) {
    throw new NearsightError(
      'load_failed',
      `The embedding graph gives ${given ?? 'no inputs_embeds'}, the decoder takes ${taken}.`,
    );
  }
}
