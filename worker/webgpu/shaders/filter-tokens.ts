/**
 * The kernel for top-k, top-p and min-p.
 *
 * One workgroup finds how far below the largest logit tokens may be. It counts the tokens in 1024 coarse bins, finds the
 * bin in which the goal is reached, and does the same within that bin with 1024 fine ones. All sums are of integers, so
 * the order in which lanes add does not matter.
 */
export const FILTER = /* wgsl */ `
// Number of tokens, and the sum of their probabilities: low (LOW_BITS) and high.
alias Tally = vec3<u32>;

fn plus(x: Tally, y: Tally) -> Tally {
  let low = x.y + y.y;
  return Tally(x.x + y.x, low & LOW_MASK, x.z + y.z + (low >> LOW_BITS));
}

// Whether a tally has at least the tokens (by count) or the probability of another.
fn reaches(x: Tally, y: Tally, by_count: bool) -> bool {
  if (by_count) { return x.x >= y.x; }
  return x.z > y.z || (x.z == y.z && x.y >= y.y);
}

// The share topP / 2^16 of a sum, rounded down.
fn share(x: Tally) -> Tally {
  let lower = (x.z & 0xffffu) * settings.topP;
  let rest = ((lower & 0xffffu) << LOW_BITS) + x.y * settings.topP;
  return plus(Tally(0u, 0u, (x.z >> 16u) * settings.topP + (lower >> 16u)), Tally(0u, rest >> 16u, 0u));
}

var<workgroup> counts: array<atomic<u32>, BINS>;
var<workgroup> lows: array<atomic<u32>, BINS>;
var<workgroup> highs: array<atomic<u32>, BINS>;

const COARSE = 0xffffffffu;

// Sorts the tokens into coarse bins, or those of a coarse bin into fine ones.
fn sort_into_bins(lane: u32, largest: f32, within: u32) {
  for (var bin = lane; bin < BINS; bin += LANES) {
    atomicStore(&counts[bin], 0u);
    atomicStore(&lows[bin], 0u);
    atomicStore(&highs[bin], 0u);
  }
  workgroupBarrier();
  for (var id = lane; id < settings.vocab; id += LANES) {
    let below = units_below(largest, scaled[id]);
    var bin = below / BINS;
    if (below == NEGLIGIBLE || (within != COARSE && within != bin)) { continue; }
    if (within != COARSE) { bin = below % BINS; }
    let weight = exp2_negative(below);
    atomicAdd(&counts[bin], 1u);
    atomicAdd(&lows[bin], weight & LOW_MASK);
    atomicAdd(&highs[bin], weight >> LOW_BITS);
  }
  workgroupBarrier();
}

fn tally_of(bin: u32) -> Tally {
  return plus(Tally(), Tally(atomicLoad(&counts[bin]), atomicLoad(&lows[bin]), atomicLoad(&highs[bin])));
}

const LANE_BINS = BINS / LANES;

// Each lane has its own bins. Afterwards 'load_tally' returns the sum of a lane's bins and all before them.
fn prefix_sums(lane: u32) {
  var sum = Tally();
  for (var at = 0u; at < LANE_BINS; at++) { sum = plus(sum, tally_of(LANE_BINS * lane + at)); }
  for (var step = 1u; step < LANES; step *= 2u) {
    store_tally(lane, sum);
    workgroupBarrier();
    if (lane >= step) { sum = plus(sum, load_tally(lane - step)); }
    workgroupBarrier();
  }
  store_tally(lane, sum);
  workgroupBarrier();
}

fn store_tally(lane: u32, sum: Tally) {
  a[lane] = sum.x;
  b[lane] = sum.y;
  c[lane] = sum.z;
}

fn load_tally(lane: u32) -> Tally {
  return Tally(a[lane], b[lane], c[lane]);
}

// The bin in which a goal is reached, the tally before the bin, and the tally including it.
struct Threshold { bin: u32, before: Tally, through: Tally }

const NOT_REACHED = BINS;

var<workgroup> threshold: Threshold;

// Finds the bin with which 'base' plus the bins reach the goal. One lane finds it and shares it.
fn find_threshold(lane: u32, base: Tally, goal: Tally, by_count: bool) -> Threshold {
  if (lane == 0u) { threshold.bin = NOT_REACHED; }
  workgroupBarrier();
  var through = base;
  if (lane > 0u) { through = plus(base, load_tally(lane - 1u)); }
  // A goal of zero is reached with the first token.
  var reached = lane > 0u && reaches(through, goal, by_count);
  for (var at = 0u; at < LANE_BINS; at++) {
    let own = tally_of(LANE_BINS * lane + at);
    let before = through;
    through = plus(through, own);
    if (!reached && own.x > 0u && reaches(through, goal, by_count)) {
      reached = true;
      threshold = Threshold(LANE_BINS * lane + at, before, through);
    }
  }
  workgroupBarrier();
  let found = threshold;
  workgroupBarrier();
  return found;
}

// How far below the largest logit tokens may be to pass top-k and top-p.
fn max_below(lane: u32, largest: f32) -> u32 {
  var last = NEGLIGIBLE - 1u;
  var total: Tally;
  var around: Threshold;
  // Top-k and then top-p, each first with coarse bins and then with fine ones. A loop, because compilers inline all
  // calls: Mesa's software renderer compiled the unrolled code for half a minute.
  for (var turn = 0u; turn < 4u; turn++) {
    let by_count = turn < 2u;
    let fine = (turn & 1u) == 1u;
    if (select(settings.topP == TOP_P_ALL, settings.topK == 0u, by_count)) { continue; }
    sort_into_bins(lane, largest, select(COARSE, around.bin, fine));
    prefix_sums(lane);
    if (turn == 0u || (turn == 2u && settings.topK == 0u)) { total = load_tally(LANES - 1u); }
    let goal = select(share(total), Tally(settings.topK, 0u, 0u), by_count);
    let found = find_threshold(lane, select(Tally(), around.before, fine), goal, by_count);
    if (!fine) {
      around = found;
    } else if (around.bin != NOT_REACHED) {
      last = min(last, around.bin * BINS + found.bin);
      total = found.through;
    }
    workgroupBarrier();
  }
  return last;
}

@compute @workgroup_size(LANES)
fn filter_tokens(@builtin(local_invocation_index) lane: u32) {
  let largest = best_of_groups(lane).value;
  var maxBelow = settings.maxBelow;
  if (has(TOP_K_P)) { maxBelow = min(maxBelow, max_below(lane, largest)); }
  if (lane == 0u) {
    state[2] = bitcast<u32>(largest);
    state[3] = maxBelow;
  }
}
`;
