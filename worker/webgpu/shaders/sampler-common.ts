import { EXP_CORRECTION, EXP, LOG, ONE } from '../../sampling/fixed-point.ts';
import { LOG2_LN2, MIX } from '../../sampling/gumbel.ts';
import { MOST, OUT_OF_SIGHT, TOP_P_ALL, UNITS } from '../../sampling/sampler-params.ts';

/** Threads of a workgroup: WebGPU's default limit. */
export const LANES = 256;

/** Logits that a workgroup of the kernels over the vocabulary looks at: eight for each thread. */
export const SPAN = 8 * LANES;

/** Words of a scored entry in the ring, before its top: the id, its {@link FLAG}s, its logit, the largest and the sum. */
export const SCORED_WORDS = 5;

/** Bits of `Settings.mode`. */
export const MODE = { half: 1, bias: 2, penalties: 4, draw: 8, filter: 16, rank: 32, mask: 64 } as const;

/** Which word of `Settings` the mode is. */
export const MODE_WORD = 2;

/** What an entry of the ring says of its logits: one was infinite or no number; one was a number; one of these was allowed. */
export const FLAG = { broken: 1, usable: 2, allowed: 4 } as const;

/** Words of `results` that a workgroup of `adjust` and of `shortlist` writes, before the latter's candidates. */
export const PARTIAL = 5;

/** Words of `state` before those of the tokens. */
export const HEADER = 4;

/** Largest vocabulary: sums over it of 14-bit numbers must fit in 32 bits. */
export const MOST_TOKENS = 2 ** 18;

/**
 * What the kernels have in common: bindings, the best of a workgroup, and the curves and the noise of worker/decode.
 *
 * Two compilers have to be kept in mind. Firefox's and Chromium's reserve words of many languages as names. And Mesa's
 * software renderer does not set a variable that is declared in a loop without a value to zero in each round.
 */
export const SHARED = /* wgsl */ `
struct Settings {
  vocab: u32, groups: u32, mode: u32, top: u32,
  scale: f32, repetition: f32, inverseRepetition: f32, frequency: f32,
  presence: f32, topK: u32, topP: u32, furthest: u32,
  key: u32, slots: u32, stride: u32,
}

@group(0) @binding(0) var<uniform> settings: Settings;
// As bits: infinities and what is no number must be seen, and WGSL may assume that floats are neither.
@group(0) @binding(1) var<storage, read> logits: array<u32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
// The id drawn last, the step, the largest logit, the furthest distance; then, after HEADER words, for each token twice its
// count in the answer, plus one if it was seen in prompt or answer.
@group(0) @binding(3) var<storage, read_write> state: array<u32>;
@group(0) @binding(4) var<storage, read_write> scaled: array<f32>;
@group(0) @binding(5) var<storage, read_write> results: array<u32>;
@group(0) @binding(6) var<storage, read> curves: array<i32>;
@group(0) @binding(7) var<storage, read_write> ring: array<u32>;
// A bit for each token. With it there are eight storage buffers, which is all that WebGPU's default limits allow.
@group(0) @binding(8) var<storage, read> mask: array<u32>;

const LANES = ${LANES}u;
const SPAN = ${SPAN}u;
const HALF = ${MODE.half}u;
const BIAS = ${MODE.bias}u;
const PENALTIES = ${MODE.penalties}u;
const DRAW = ${MODE.draw}u;
const FILTER = ${MODE.filter}u;
const RANK = ${MODE.rank}u;
const MASK = ${MODE.mask}u;
const PARTIAL = ${PARTIAL}u;
const HEADER = ${HEADER}u;
const SCORED_WORDS = ${SCORED_WORDS}u;

const MOST = ${MOST};
const LOWEST = -3e38;
const NOBODY = 0xffffffffu;
const UNITS = ${UNITS}.0;
const OUT_OF_SIGHT = ${OUT_OF_SIGHT}u;
// By distance: as many coarse ones as each has fine ones.
const BINS = ${Math.sqrt(OUT_OF_SIGHT)}u;
const TOP_P_ALL = ${TOP_P_ALL}u;

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

// Three columns of a workgroup: for finding the best (a: value, b: id), and for sums (a: count, b: low, c: high).
var<workgroup> a: array<u32, LANES>;
var<workgroup> b: array<u32, LANES>;
var<workgroup> c: array<u32, LANES>;

// The best of all lanes, for each of them.
fn best_of(lane: u32, mine: Best) -> Best {
  a[lane] = bitcast<u32>(mine.value);
  b[lane] = mine.id;
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

// The curves of worker/sampling/fixed-point.ts.
fn curve(start: u32, x: u32) -> i32 {
  let point = start + (x >> 8u);
  let first = curves[point];
  return first + (((curves[point + 1u] - first) * i32(x & 255u)) >> 8u);
}

fn log2_of(value: u32) -> i32 {
  let zeros = countLeadingZeros(value);
  return i32(31u - zeros) * ${ONE} + curve(${LOG}u, ((value << zeros) << 1u) >> 16u);
}

fn power(x: u32) -> u32 {
  return (u32(curve(${EXP}u, (x & 0x7fffu) << 1u)) << 12u) >> (x >> 15u);
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
    exponential = log2_of(v) - 32 * ${ONE} + curve(${EXP_CORRECTION}u, v >> 15u);
  } else {
    exponential = log2_of(u32(32 * ${ONE} - log2_of(0u - v))) - 16 * ${ONE} + (${LOG2_LN2});
  }
  return -f32(exponential) / ${ONE}.0;
}

fn draw_key() -> u32 {
  return mix_bits(settings.key + state[1]);
}

var<private> flags: u32;

// A logit, held within bounds; what is wrong with it goes to 'flags'.
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
    // Minus infinity is a token that never comes.
    if (bits != (sign | infinity)) {
      flags |= BROKEN;
    }
    return -MOST;
  }
  if (value > -MOST) {
    flags |= USABLE;
  }
  return clamp(value, -MOST, MOST);
}
`;
