/**
 * Compares the tokens of the GPU sampler and the CPU sampler for many kinds of logits and parameters. Tests run this in
 * Node, on Dawn, and in both browsers.
 */
import { NearsightError } from '../../../src/protocol/errors.ts';
import type { Sampling } from '../../../src/protocol/job.ts';
import type { AnswerSampler } from '../../../worker/backend/token-sampler.ts';
import type { TokenConstraint } from '../../../worker/sampling/token-constraint.ts';
import { halfToFloat } from '../../../worker/onnx/tensor.ts';
import { mix } from '../../../worker/sampling/gumbel.ts';
import { type SampledToken, CpuSampler } from '../../../worker/sampling/cpu-sampler.ts';
import { Readback } from '../../../worker/webgpu/buffer-readback.ts';
import { GpuSampler } from '../../../worker/webgpu/gpu-sampler.ts';
import { halves } from '../../fixtures/halves.ts';
import { idsWhere, otherThird, ToyConstraint } from '../sampling/toy-constraint.ts';

type Seeded = Sampling & { seed: number };
type Row = Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>;

export const MAX_STEPS = 8;

/** Numbers that look random, the same in every run. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** From 0 to below 1. */
  next(): number {
    this.#state++;
    return mix(this.#state) / 2 ** 32;
  }

  below(count: number): number {
    return Math.floor(this.next() * count);
  }

  oneOf<T>(...values: T[]): T {
    return values[this.below(values.length)]!;
  }

  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next());
  }
}

export const SHAPES: Record<string, (dice: Dice) => () => number> = {
  peaky: (dice) => () => dice.normal() * 2 + (dice.below(500) === 0 ? 15 : 0),
  ordinary: (dice) => () => dice.normal() * 3 - 2,
  flat: (dice) => () => dice.normal() * 0.01,
  ties: (dice) => () => dice.below(12) / 4,
  equal: () => () => 3.5,
  masked: (dice) => () => (dice.below(4) === 0 ? dice.normal() : dice.oneOf(-1e30, -65504, -Infinity)),
  wide: (dice) => () => dice.normal() * 400,
};

export function settings(dice: Dice, vocab: number): Seeded {
  return {
    temperature: dice.oneOf(0, 0.05, 0.7, 1, 2),
    topK: dice.oneOf(0, 0, 1, 5, 40, 1000, vocab),
    topP: dice.oneOf(1, 1, 0.95, 0.5, 1e-6, 0.999),
    minP: dice.oneOf(0, 0, 0.05, 0.5, 1),
    frequencyPenalty: dice.oneOf(0, 0, 0.3, -1.7),
    presencePenalty: dice.oneOf(0, 0, 0.7, 2),
    repetitionPenalty: dice.oneOf(1, 1, 1.2, 0.3, 2),
    logitBias: [...new Map(Array.from({ length: dice.oneOf(0, 0, 30) }, () => [dice.below(vocab), dice.normal() * 5]))],
    seed: dice.below(2 ** 20) * 2 ** 20,
  };
}

/** Samples on the GPU, each token from its own row of logits. */
export class Bench {
  readonly #sampler: GpuSampler;
  readonly #rows: GPUBuffer[];
  readonly #readback: Readback;

  readonly #device: GPUDevice;

  constructor(device: GPUDevice, vocab: number, type: 'float32' | 'float16') {
    this.#device = device;
    this.#sampler = new GpuSampler(device, vocab, type);
    this.#readback = new Readback(device);
    this.#rows = Array.from({ length: MAX_STEPS }, () => this.#sampler.createLogits('logits'));
  }

  /** Samples and reads back one token at a time, as a constraint needs it. */
  async sampleConstrained(
    rows: Row[],
    constraint: TokenConstraint,
    ...answer: Parameters<GpuSampler['begin']>
  ): Promise<SampledToken[]> {
    const sampler = this.#begin(answer);
    const sampled: SampledToken[] = [];
    for (const [step, row] of rows.entries()) {
      const buffer = this.#rows[step]!;
      this.#device.queue.writeBuffer(buffer, 0, row);
      const encoder = this.#device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      sampler.encode(pass, buffer, constraint.mask(step));
      pass.end();
      this.#device.queue.submit([encoder.finish()]);
      const { entryBytes } = sampler;
      const entry = await this.#readback.read(this.#sampler.ring, step * entryBytes, entryBytes);
      sampled[step] = sampler.read(new Uint32Array(entry));
      constraint.accept(sampled[step].id);
    }
    return sampled;
  }

  async sample(rows: Row[], ...answer: Parameters<GpuSampler['begin']>): Promise<SampledToken[]> {
    const sampler = this.#begin(answer);
    const encoder = this.#device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const [step, row] of rows.entries()) {
      const buffer = this.#rows[step]!;
      this.#device.queue.writeBuffer(buffer, 0, row);
      sampler.encode(pass, buffer);
    }
    pass.end();
    this.#device.queue.submit([encoder.finish()]);
    const words = sampler.entryBytes / 4;
    const entries = new Uint32Array(await this.#readback.read(this.#sampler.ring, 0, rows.length * sampler.entryBytes));
    const sampled = rows.map((_, step) => sampler.read(entries.subarray(step * words, (step + 1) * words)));
    const [last] = new Uint32Array(await this.#readback.read(this.#sampler.sampled, 0, 4));
    if (last !== sampled.at(-1)?.id) throw new Error(`the sampled buffer holds ${last}`);
    return sampled;
  }

  #begin(answer: Parameters<GpuSampler['begin']>): AnswerSampler {
    const sampler = this.#sampler.begin(...answer);
    if (!sampler) throw new Error('not sampled on the GPU');
    return sampler;
  }

  close(): void {
    this.#sampler.close();
    this.#readback.close();
    for (const buffer of this.#rows) buffer.destroy();
  }
}

/** Tokens under a constraint, sampled on the CPU. */
export function sampleConstrained(
  rows: Float32Array[],
  constraint: TokenConstraint,
  sampler: CpuSampler,
): SampledToken[] {
  return rows.map((row, step) => {
    const sampled = sampler.sample(row, constraint.mask(step));
    constraint.accept(sampled.id);
    return sampled;
  });
}

/** Constraints of several kinds: each call creates a new one. */
function constraints(vocab: number, listed: readonly number[]): (() => ToyConstraint)[] {
  const make = (rule: ConstructorParameters<typeof ToyConstraint>[1]) => () => new ToyConstraint(vocab, rule);
  return [
    make(() => listed),
    make(otherThird(vocab)),
    make(({ length }) => [(length * 7919 + 31) % vocab]),
    make(({ length }) => (length % 2 === 0 ? undefined : idsWhere(vocab, (id) => id >= vocab - 33))),
  ];
}

/** The ids, or the code of the error: a mask may allow none of a few finite logits. */
async function outcome(sample: () => SampledToken[] | Promise<SampledToken[]>): Promise<string> {
  try {
    return (await sample()).map(({ id }) => id).join(' ');
  } catch (error) {
    return error instanceof NearsightError ? error.code : String(error);
  }
}

interface Kind {
  vocab: number;
  type: 'float32' | 'float16';
  cases: number;
  /** Ids that some of the constraints allow; absent: no constraints. */
  listed?: readonly number[];
}

/** Descriptions of the answers that differ. */
export async function compare(device: GPUDevice, { vocab, type, cases, listed }: Kind): Promise<string[]> {
  const dice = new Dice(vocab);
  const bench = new Bench(device, vocab, type);
  const wrong: string[] = [];
  for (let choice = 0; choice < cases; choice++) {
    const sampling = settings(dice, vocab);
    const shape = dice.oneOf(...Object.keys(SHAPES));
    const roll = SHAPES[shape]!(dice);
    const rows = Array.from({ length: 1 + dice.below(MAX_STEPS) }, () => {
      const row = Float32Array.from({ length: vocab }, roll);
      return type === 'float16' ? halves(row) : row;
    });
    const prompt = Int32Array.from({ length: 50 }, () => dice.below(vocab));
    const sampler = new CpuSampler(sampling, prompt, choice % 3);
    const floats = rows.map((row) => (row instanceof Uint16Array ? halfToFloat(row).subarray(0, vocab) : row));
    const constrain = listed && dice.oneOf(...constraints(vocab, listed));
    const [sampled, expected] = constrain
      ? [
          await outcome(() => bench.sampleConstrained(rows, constrain(), sampling, prompt, choice % 3)),
          await outcome(() => sampleConstrained(floats, constrain(), sampler)),
        ]
      : [
          await outcome(() => bench.sample(rows, sampling, prompt, choice % 3)),
          await outcome(() => floats.map((row) => sampler.sample(row))),
        ];
    if (sampled !== expected) wrong.push(`${shape} ${JSON.stringify(sampling)} ${sampled} instead of ${expected}`);
  }
  bench.close();
  return wrong;
}
