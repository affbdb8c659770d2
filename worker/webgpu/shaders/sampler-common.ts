import { EXP_CORRECTION_TABLE, EXP2_TABLE, LOG2_TABLE, ONE } from '../../sampling/fixed-point.ts';
import { LOG2_LN2, MIX } from '../../sampling/gumbel.ts';
import { MAX_LOGIT, NEGLIGIBLE, TOP_P_ALL, UNITS_PER_BIT } from '../../sampling/sampler-params.ts';

/** Threads of a workgroup: WebGPU's default limit. */
export const LANES = 256;

/** Tokens that a workgroup processes in the kernels over the vocabulary: eight for each thread. */
export const GROUP_TOKENS = 8 * LANES;

/** Words of a ring entry with log probabilities before its top tokens: id, {@link FLAG}s, logit, largest logit, sum. */
export const SCORED_WORDS = 5;

/** Bits of `Settings.mode`. */
export const MODE = { half: 1, bias: 2, penalties: 4, sample: 8, filter: 16, topKP: 32, mask: 64 } as const;

/** Index of the mode in `Settings`, in words. */
export const MODE_WORD = 2;

/** Flags of a ring entry: a logit was infinite or NaN; a logit was finite; a finite one was allowed by the mask. */
export const FLAG = { broken: 1, usable: 2, allowed: 4 } as const;

/** Words of `results` that a workgroup of `adjust` and `partial_logprobs` writes; then come the latter's candidates. */
export const PARTIAL_WORDS = 5;

/** Words of `state` before the words of the tokens. */
export const HEADER_WORDS = 4;

/** A sum of probabilities is kept in two words: the low one adds numbers of so many bits. */
export const LOW_BITS = 14;

/** Largest vocabulary: the sum of a low part per token must fit in 32 bits. */
export const MAX_VOCAB = 2 ** (32 - LOW_BITS);

/**
 * Shared by the kernels: bindings, the best token of a workgroup, and fixed-point functions and noise of worker/sampling.
 *
 * Beware: browsers reserve words of many languages as names. And Mesa's software renderer does not zero a variable that
 * is declared in a loop without a value in each round.
 */
export const SHARED = /* wgsl */ `
struct Settings {
  vocab: u32, groups: u32, mode: u32, top: u32,
  scale: f32, repetition: f32, inverseRepetition: f32, frequency: f32,
  presence: f32, topK: u32, topP: u32, maxBelow: u32,
  key: u32, slots: u32, stride: u32,
}

@group(0) @binding(0) var<uniform> settings: Settings;
// As bits: infinities and NaN must be detected, and WGSL may assume that floats are neither.
@group(0) @binding(1) var<storage, read> logits: array<u32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
// The token sampled last, the step, the largest logit, the units below it that pass the filters. Then, for each token,
// twice its count in the answer, plus one if it was seen in prompt or answer.
@group(0) @binding(3) var<storage, read_write> state: array<u32>;
@group(0) @binding(4) var<storage, read_write> scaled: array<f32>;
@group(0) @binding(5) var<storage, read_write> results: array<u32>;
@group(0) @binding(6) var<storage, read> tables: array<i32>;
@group(0) @binding(7) var<storage, read_write> ring: array<u32>;
// A bit for each token. This is the eighth storage buffer, the maximum of WebGPU's default limits.
@group(0) @binding(8) var<storage, read> mask: array<u32>;

const LANES = ${LANES}u;
const GROUP_TOKENS = ${GROUP_TOKENS}u;
const HALF = ${MODE.half}u;
const BIAS = ${MODE.bias}u;
const PENALTIES = ${MODE.penalties}u;
const SAMPLE = ${MODE.sample}u;
const FILTER = ${MODE.filter}u;
const TOP_K_P = ${MODE.topKP}u;
const MASK = ${MODE.mask}u;
const PARTIAL_WORDS = ${PARTIAL_WORDS}u;
const HEADER_WORDS = ${HEADER_WORDS}u;
const SCORED_WORDS = ${SCORED_WORDS}u;

const MAX_LOGIT = ${MAX_LOGIT};
const LOWEST = -3e38;
const NO_TOKEN = 0xffffffffu;
const UNITS_PER_BIT = ${UNITS_PER_BIT}.0;
const NEGLIGIBLE = ${NEGLIGIBLE}u;
// Coarse bins by units below the largest logit. Each has as many fine bins.
const BINS = ${Math.sqrt(NEGLIGIBLE)}u;
const TOP_P_ALL = ${TOP_P_ALL}u;

const LOW_BITS = ${LOW_BITS}u;
const LOW_MASK = (1u << LOW_BITS) - 1u;

const BROKEN = ${FLAG.broken}u;
const USABLE = ${FLAG.usable}u;
const ALLOWED = ${FLAG.allowed}u;

struct Best { value: f32, id: u32 }

fn better(x: Best, y: Best) -> bool {
  return x.value > y.value || (x.value == y.value && x.id < y.id);
}

fn has(mode: u32) -> bool {
  return (settings.mode & mode) != 0u;
}

// Three values for each lane: to find the best token (a: value, b: id), and for sums (a: count, b: low, c: high).
var<workgroup> a: array<u32, LANES>;
var<workgroup> b: array<u32, LANES>;
var<workgroup> c: array<u32, LANES>;

// The best token of all lanes, returned to each.
fn best_of(lane: u32, own: Best) -> Best {
  a[lane] = bitcast<u32>(own.value);
  b[lane] = own.id;
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) {
      let other = Best(bitcast<f32>(a[lane + half]), b[lane + half]);
      if (better(other, Best(bitcast<f32>(a[lane]), b[lane]))) {
        a[lane] = a[lane + half];
        b[lane] = b[lane + half];
      }
    }
  }
  workgroupBarrier();
  let best = Best(bitcast<f32>(a[0]), b[0]);
  workgroupBarrier();
  return best;
}

// Linear interpolation, as in worker/sampling/fixed-point.ts.
fn table_at(start: u32, x: u32) -> i32 {
  let point = start + (x >> 8u);
  let first = tables[point];
  return first + (((tables[point + 1u] - first) * i32(x & 255u)) >> 8u);
}

fn log2_of(value: u32) -> i32 {
  let zeros = countLeadingZeros(value);
  return i32(31u - zeros) * ${ONE} + table_at(${LOG2_TABLE}u, ((value << zeros) << 1u) >> 16u);
}

fn exp2_negative(x: u32) -> u32 {
  return (u32(table_at(${EXP2_TABLE}u, (x & 0x7fffu) << 1u)) << 12u) >> (x >> 15u);
}

fn mix_bits(value: u32) -> u32 {
  var x = value;
  x = (x ^ (x >> 16u)) * ${MIX[0]}u;
  x = (x ^ (x >> 15u)) * ${MIX[1]}u;
  return x ^ (x >> 16u);
}

fn gumbel(key: u32, token: u32) -> f32 {
  let v = mix_bits(key ^ mix_bits(token + 1u)) | 1u;
  var exponential: i32;
  if (v < 0x80000000u) {
    exponential = log2_of(v) - 32 * ${ONE} + table_at(${EXP_CORRECTION_TABLE}u, v >> 15u);
  } else {
    exponential = log2_of(u32(32 * ${ONE} - log2_of(0u - v))) - 16 * ${ONE} + (${LOG2_LN2});
  }
  return -f32(exponential) / ${ONE}.0;
}

fn sample_key() -> u32 {
  return mix_bits(settings.key + state[1]);
}

var<private> flags: u32;

// A clamped logit. Sets 'flags'.
fn logit_of(id: u32) -> f32 {
  var bits = logits[select(id, id / 2u, has(HALF))];
  var value = bitcast<f32>(bits);
  var infinity = 0x7f800000u;
  var sign = 0x80000000u;
  if (has(HALF)) {
    value = unpack2x16float(bits)[id & 1u];
    bits = (bits >> (16u * (id & 1u))) & 0xffffu;
    infinity = 0x7c00u;
    sign = 0x8000u;
  }
  if ((bits & infinity) == infinity) {
    // Minus infinity excludes a token.
    if (bits != (sign | infinity)) { flags |= BROKEN; }
    return -MAX_LOGIT;
  }
  if (value > -MAX_LOGIT) { flags |= USABLE; }
  return clamp(value, -MAX_LOGIT, MAX_LOGIT);
}
`;
