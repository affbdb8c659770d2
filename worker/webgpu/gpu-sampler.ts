import { type AnswerSampler, type LogitsRow, type TokenSampler, RING_SLOTS } from '../backend/token-sampler.ts';
import { elementBytes } from '../onnx/tensor.ts';
import { type AnswerParams, type SampledToken, notFinite, type ScoredToken } from '../sampling/cpu-sampler.ts';
import { TABLES } from '../sampling/fixed-point.ts';
import { answerKey } from '../sampling/gumbel.ts';
import { type SamplerParams, samplerParams, TOP_P_ALL } from '../sampling/sampler-params.ts';
import { unsatisfiable } from '../sampling/token-constraint.ts';
import { FILTER } from './shaders/filter-tokens.ts';
import { SAMPLE } from './shaders/sample-token.ts';
import {
  FLAG,
  HEADER_WORDS,
  MODE,
  MODE_WORD,
  MAX_VOCAB,
  PARTIAL_WORDS,
  SCORED_WORDS,
  SHARED,
  GROUP_TOKENS,
} from './shaders/sampler-common.ts';
import { LOGPROBS } from './shaders/token-logprobs.ts';
import { COPY_DST, COPY_SRC, STORAGE, UNIFORM, VISIBLE_COMPUTE } from './buffer-usage.ts';
import { bind, compile } from './kernel.ts';

/** Maximum of `top_logprobs`. */
const MAX_TOP = 20;

/** Words of a ring entry without log probabilities: the id and its flags. */
const PLAIN_WORDS = 2;

/** Size of the shader's `Settings`. */
const SETTINGS_BYTES = 64;

/** The shader's entry points. */
const KERNELS = ['adjust', 'filter_tokens', 'sample_filtered', 'choose', 'partial_logprobs', 'logprobs'] as const;
type KernelName = (typeof KERNELS)[number];

/** Samples the same tokens as `CpuSampler` for the same parameters, logits and seed. */
export class GpuSampler implements TokenSampler {
  readonly sampled: GPUBuffer;
  readonly ring: GPUBuffer;
  readonly #device: GPUDevice;
  readonly #vocab: number;
  readonly #type: LogitsRow['type'];
  /** Workgroups of the kernels over the vocabulary. */
  readonly #groups: number;
  readonly #pipelines: ReadonlyMap<KernelName, GPUComputePipeline>;
  readonly #buffers: ReturnType<typeof allocate>;
  /** A mask, as long as the buffer. */
  readonly #mask: Uint32Array<ArrayBuffer>;
  /** All buffers, bound with each row of logits. */
  readonly #bound = new Map<GPUBuffer, GPUBindGroup>();

  constructor(device: GPUDevice, vocab: number, type: LogitsRow['type']) {
    this.#device = device;
    this.#vocab = vocab;
    this.#type = type;
    this.#groups = Math.ceil(vocab / GROUP_TOKENS);
    this.#pipelines = pipelines(device);
    this.#mask = new Uint32Array(Math.ceil(vocab / 32));
    this.#buffers = allocate(device, vocab, this.#groups);
    this.sampled = this.#buffers.state;
    this.ring = this.#buffers.ring;
    device.queue.writeBuffer(this.#buffers.tables, 0, TABLES);
  }

  get buffers(): number {
    return Object.keys(this.#buffers).length + this.#bound.size;
  }

  createLogits(label: string): GPUBuffer {
    const size = Math.ceil((this.#vocab * elementBytes(this.#type)) / 16) * 16;
    const logits = this.#device.createBuffer({ label, size, usage: STORAGE | COPY_SRC | COPY_DST });
    const { settings, ...others } = this.#buffers;
    const buffers = [settings, logits, ...Object.values(others)];
    this.#bound.set(logits, bind(this.#device, this.#pipelines.get('adjust')!, buffers).group);
    return logits;
  }

  begin(...[sampling, prompt, choice, topLogprobs]: AnswerParams): AnswerSampler | undefined {
    if (this.#vocab > MAX_VOCAB) return undefined;
    const { queue } = this.#device;
    const params = samplerParams(sampling);
    const key = answerKey(sampling.seed, choice);
    const biased = sampling.logitBias.length > 0;
    const settings = this.#settings(params, key, biased, topLogprobs);
    queue.writeBuffer(this.#buffers.settings, 0, settings);
    const resume = (tokens: readonly number[]): void => {
      const state = new Uint32Array(HEADER_WORDS + this.#vocab);
      state.set([tokens.at(-1) ?? 0, tokens.length]);
      if (params.repetition !== 1) for (const id of prompt) state[HEADER_WORDS + id] = 1;
      for (const id of tokens) state[HEADER_WORDS + id] = ((state[HEADER_WORDS + id] ?? 0) | 1) + 2;
      queue.writeBuffer(this.#buffers.state, 0, state);
    };
    resume([]);
    if (biased) {
      const bias = new Float32Array(this.#vocab);
      for (const [id, value] of sampling.logitBias) bias[id] = value;
      queue.writeBuffer(this.#buffers.bias, 0, bias);
    }
    const withLogprobs = topLogprobs !== undefined;
    const mode = settings[MODE_WORD] ?? 0;
    let masked = false;
    return {
      entryBytes: 4 * entryWords(topLogprobs),
      encode: (pass, logits, mask) => {
        if (mask) this.#writeMask(mask);
        if (masked !== (mask !== undefined)) {
          masked = !masked;
          const changed = Uint32Array.of(masked ? mode | MODE.mask : mode);
          queue.writeBuffer(this.#buffers.settings, 4 * MODE_WORD, changed);
        }
        this.#encode(pass, logits, params.filters, withLogprobs);
      },
      resume,
      read: (entry) => readEntry(entry, topLogprobs),
    };
  }

  clear(encoder: GPUCommandEncoder): void {
    const { bias, state, scaled, results, ring, mask } = this.#buffers;
    for (const buffer of [bias, state, scaled, results, ring, mask, ...this.#bound.keys()]) encoder.clearBuffer(buffer);
  }

  close(): void {
    for (const buffer of [...Object.values(this.#buffers), ...this.#bound.keys()]) buffer.destroy();
  }

  #writeMask(mask: Uint32Array): void {
    this.#mask.fill(0);
    this.#mask.set(mask.subarray(0, this.#mask.length));
    this.#device.queue.writeBuffer(this.#buffers.mask, 0, this.#mask);
  }

  #encode(pass: GPUComputePassEncoder, logits: GPUBuffer, filters: boolean, withLogprobs: boolean): void {
    pass.setBindGroup(0, this.#bound.get(logits)!);
    const dispatch = (kernel: KernelName, groups: number): void => {
      pass.setPipeline(this.#pipelines.get(kernel)!);
      pass.dispatchWorkgroups(groups);
    };
    dispatch('adjust', this.#groups);
    if (filters) {
      dispatch('filter_tokens', 1);
      dispatch('sample_filtered', this.#groups);
    }
    dispatch('choose', 1);
    if (!withLogprobs) return;
    dispatch('partial_logprobs', this.#groups);
    dispatch('logprobs', 1);
  }

  /** The shader's `Settings`. */
  #settings(params: SamplerParams, key: number, biased: boolean, top: number | undefined): Uint32Array<ArrayBuffer> {
    const { scale, repetition, inverseRepetition, frequency, presence, topK, topP, maxBelow } = params;
    const mode =
      (this.#type === 'float16' ? MODE.half : 0) |
      (biased ? MODE.bias : 0) |
      (repetition !== 1 || frequency !== 0 || presence !== 0 ? MODE.penalties : 0) |
      (params.greedy ? 0 : MODE.sample) |
      (params.filters ? MODE.filter : 0) |
      (topK !== 0 || topP !== TOP_P_ALL ? MODE.topKP : 0);
    const bytes = new ArrayBuffer(SETTINGS_BYTES);
    const words = new Uint32Array(bytes);
    words.set([this.#vocab, this.#groups, mode, top ?? 0]);
    new Float32Array(bytes).set([scale, repetition, inverseRepetition, frequency, presence], 4);
    words.set([Math.min(topK, this.#vocab), topP, maxBelow, key, RING_SLOTS, entryWords(top)], 9);
    return words;
  }
}

/** The buffers that the shader binds, in the order of its bindings. */
function allocate(device: GPUDevice, vocab: number, groups: number) {
  const buffer = (label: string, words: number, usage: number): GPUBuffer =>
    device.createBuffer({ label: `sampler ${label}`, size: 4 * words, usage });
  return {
    settings: buffer('settings', SETTINGS_BYTES / 4, UNIFORM | COPY_DST),
    bias: buffer('bias', vocab, STORAGE | COPY_DST),
    state: buffer('state', HEADER_WORDS + vocab, STORAGE | COPY_SRC | COPY_DST),
    scaled: buffer('scaled', vocab, STORAGE | COPY_DST),
    results: buffer('results', groups * (PARTIAL_WORDS + 2 * MAX_TOP), STORAGE | COPY_DST),
    tables: buffer('tables', TABLES.length, STORAGE | COPY_DST),
    ring: buffer('ring', RING_SLOTS * entryWords(MAX_TOP), STORAGE | COPY_SRC | COPY_DST),
    mask: buffer('mask', Math.ceil(vocab / 32), STORAGE | COPY_DST),
  };
}

function entryWords(top: number | undefined): number {
  return top === undefined ? PLAIN_WORDS : SCORED_WORDS + 2 * top;
}

function readEntry(entry: Uint32Array, top: number | undefined): SampledToken {
  const [id = 0, flags = 0] = entry;
  if ((flags & (FLAG.broken | FLAG.usable)) !== FLAG.usable) throw notFinite();
  if ((flags & FLAG.allowed) === 0) throw unsatisfiable();
  if (top === undefined) return { id };
  const [, , chosen = NaN, largest = NaN, sum = NaN, ...others] = new Float32Array(entry.slice().buffer);
  const logprob = (logit: number): number => logit - largest - Math.log(sum);
  const scored = (_: unknown, rank: number): ScoredToken => ({
    id: entry[SCORED_WORDS + 2 * rank] ?? 0,
    logprob: logprob(others[2 * rank + 1] ?? NaN),
  });
  return { id, logprob: logprob(chosen), top: Array.from({ length: top }, scored) };
}

/** All kernels have one layout, so that one bind group fits all. */
function pipelines(device: GPUDevice): ReadonlyMap<KernelName, GPUComputePipeline> {
  const module = device.createShaderModule({ label: 'sampler', code: SHARED + SAMPLE + FILTER + LOGPROBS });
  const [read, write] = ['read-only-storage', 'storage'] as const;
  const types = ['uniform', read, read, write, write, write, read, write, read] as const;
  const entries = types.map((type, binding) => ({ binding, visibility: VISIBLE_COMPUTE, buffer: { type } }));
  const group = device.createBindGroupLayout({ label: 'sampler', entries });
  const layout = device.createPipelineLayout({ bindGroupLayouts: [group] });
  return new Map(KERNELS.map((name) => [name, compile(device, module, name, layout)]));
}
