import { NearsightError } from '../../src/wire/error.ts';
import type { Sampling } from '../../src/wire/job.ts';
import type { Drawn } from '../decode/sampler.ts';
import { type GpuDraw, type GpuSampler, RING_SLOTS } from './sampling.ts';
import { COPY_DST, COPY_SRC, STORAGE } from './usage.ts';

/** Id, and whether it was drawn from finite logits. */
const ENTRY_BYTES = 8;

const LANES = 256;

/** Takes the largest logit, the lowest id among equals, as the CPU's sampler does at temperature 0. */
export class GreedySampler implements GpuSampler {
  readonly drawn: GPUBuffer;
  readonly ring: GPUBuffer;
  readonly buffers = 2;
  readonly #device: GPUDevice;
  readonly #pipeline: GPUComputePipeline;
  readonly #groups = new Map<GPUBuffer, GPUBindGroup>();

  constructor(device: GPUDevice, vocab: number, type: 'float32' | 'float16') {
    const usage = STORAGE | COPY_SRC | COPY_DST;
    this.#device = device;
    this.drawn = device.createBuffer({ label: 'drawn', size: 16, usage });
    this.ring = device.createBuffer({ label: 'ring', size: RING_SLOTS * ENTRY_BYTES, usage });
    const module = device.createShaderModule({ label: 'argmax', code: shader(vocab, type) });
    this.#pipeline = device.createComputePipeline({ label: 'argmax', layout: 'auto', compute: { module } });
  }

  begin(
    sampling: Sampling & { seed: number },
    _prompt: Int32Array,
    _choice: number,
    topLogprobs?: number,
  ): GpuDraw | undefined {
    if (!isPlain(sampling) || topLogprobs !== undefined) return undefined;
    this.#device.queue.writeBuffer(this.drawn, 0, new Uint32Array(2));
    return {
      entryBytes: ENTRY_BYTES,
      encode: (pass, logits) => this.#encode(pass, logits),
      read: readEntry,
    };
  }

  close(): void {
    this.drawn.destroy();
    this.ring.destroy();
  }

  #encode(pass: GPUComputePassEncoder, logits: GPUBuffer): void {
    pass.setPipeline(this.#pipeline);
    pass.setBindGroup(0, this.#group(logits));
    pass.dispatchWorkgroups(1);
  }

  #group(logits: GPUBuffer): GPUBindGroup {
    const known = this.#groups.get(logits);
    if (known) return known;
    const entries = [logits, this.drawn, this.ring].map((buffer, binding) => ({ binding, resource: { buffer } }));
    const group = this.#device.createBindGroup({ layout: this.#pipeline.getBindGroupLayout(0), entries });
    this.#groups.set(logits, group);
    return group;
  }
}

function isPlain(sampling: Sampling): boolean {
  return (
    sampling.temperature === 0 &&
    sampling.logitBias.length === 0 &&
    sampling.repetitionPenalty === 1 &&
    sampling.frequencyPenalty === 0 &&
    sampling.presencePenalty === 0
  );
}

function readEntry(entry: Uint32Array): Drawn {
  const [id = 0, finite] = entry;
  if (finite !== 1) throw new NearsightError('internal', 'The model gave no finite logits.');
  return { id };
}

/**
 * Logits are compared as integers that sort like them: shaders may assume that there are no infinities and no values
 * that are no numbers, and those are what must be noticed. Keys are 16 bits wide for float16.
 */
function shader(vocab: number, type: 'float32' | 'float16'): string {
  const half = type === 'float16';
  const [sign, infinity] = half ? ['0x8000u', '0x7c00u'] : ['0x80000000u', '0x7f800000u'];
  return /* wgsl */ `
@group(0) @binding(0) var<storage, read> logits: array<u32>;
@group(0) @binding(1) var<storage, read_write> drawn: array<u32, 2>;
@group(0) @binding(2) var<storage, read_write> ring: array<vec2u, ${RING_SLOTS}>;

var<workgroup> keys: array<u32, ${LANES}>;
var<workgroup> ids: array<u32, ${LANES}>;

fn bits(id: u32) -> u32 {
  return ${half ? '(logits[id / 2u] >> (16u * (id % 2u))) & 0xffffu' : 'logits[id]'};
}

// 0 for what is no number, then -infinity up to +infinity; both zeros are one.
fn key(value: u32) -> u32 {
  let size = value & (${sign} - 1u);
  if (size > ${infinity}) { return 0u; }
  return select(${sign} + size, ${sign} - size, value >= ${sign});
}

@compute @workgroup_size(${LANES}) fn main(@builtin(local_invocation_index) lane: u32) {
  var best = 0u;
  var id = 0u;
  for (var at = lane; at < ${vocab}u; at += ${LANES}u) {
    let next = key(bits(at));
    if (next > best) { best = next; id = at; }
  }
  keys[lane] = best;
  ids[lane] = id;
  for (var half = ${LANES / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) {
      let other = lane + half;
      if (keys[other] > keys[lane] || (keys[other] == keys[lane] && ids[other] < ids[lane])) {
        keys[lane] = keys[other];
        ids[lane] = ids[other];
      }
    }
  }
  if (lane == 0u) {
    let finite = keys[0] > ${sign} - ${infinity} && keys[0] < ${sign} + ${infinity};
    ring[drawn[1] % ${RING_SLOTS}u] = vec2u(ids[0], u32(finite));
    drawn[0] = ids[0];
    drawn[1] += 1u;
  }
}
`;
}
