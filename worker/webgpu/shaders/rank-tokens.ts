/**
 * The kernel that filters: top-k, top-p and min-p.
 *
 * One workgroup seeks the furthest distance from the likeliest token that stays. It counts the tokens in 1024 coarse
 * bins by their distance, finds the bin in which the goal is reached, and does the same within it in 1024 fine ones. All
 * is exact in integers, so that the order in which lanes add does not matter.
 */
export const RANK = /* wgsl */ `
// How many tokens, and their probabilities' sum: low (14 bits) and high.
alias Tally = vec3<u32>;

fn plus(x: Tally, y: Tally) -> Tally {
  let low = x.y + y.y;
  return Tally(x.x + y.x, low & 0x3fffu, x.z + y.z + (low >> 14u));
}

// Whether a tally has as many tokens as another (by count), or as much probability.
fn reaches(x: Tally, y: Tally, by_count: bool) -> bool {
  if (by_count) {
    return x.x >= y.x;
  }
  return x.z > y.z || (x.z == y.z && x.y >= y.y);
}

// The share topP / 2^16 of a sum, rounded down.
fn share(x: Tally) -> Tally {
  let lower = (x.z & 0xffffu) * settings.topP;
  let rest = ((lower & 0xffffu) << 14u) + x.y * settings.topP;
  return plus(Tally(0u, 0u, (x.z >> 16u) * settings.topP + (lower >> 16u)), Tally(0u, rest >> 16u, 0u));
}

var<workgroup> counts: array<atomic<u32>, BINS>;
var<workgroup> lows: array<atomic<u32>, BINS>;
var<workgroup> highs: array<atomic<u32>, BINS>;

const COARSE = 0xffffffffu;

// Sorts the tokens into bins: coarse ones, or the fine ones within one of those.
fn sort_into_bins(lane: u32, largest: f32, within: u32) {
  for (var bin = lane; bin < BINS; bin += LANES) {
    atomicStore(&counts[bin], 0u);
    atomicStore(&lows[bin], 0u);
    atomicStore(&highs[bin], 0u);
  }
  workgroupBarrier();
  for (var id = lane; id < settings.vocab; id += LANES) {
    let distance = distance_of(largest, scaled[id]);
    var bin = distance / BINS;
    if (distance == OUT_OF_SIGHT || (within != COARSE && within != bin)) {
      continue;
    }
    if (within != COARSE) {
      bin = distance % BINS;
    }
    let weight = power(distance);
    atomicAdd(&counts[bin], 1u);
    atomicAdd(&lows[bin], weight & 0x3fffu);
    atomicAdd(&highs[bin], weight >> 14u);
  }
  workgroupBarrier();
}

fn tally_of(bin: u32) -> Tally {
  return plus(Tally(), Tally(atomicLoad(&counts[bin]), atomicLoad(&lows[bin]), atomicLoad(&highs[bin])));
}

// Each lane has four bins; 'kept' tells what is in those of a lane and in all before them.
fn add_up(lane: u32) {
  var sum = Tally();
  for (var at = 0u; at < 4u; at++) {
    sum = plus(sum, tally_of(4u * lane + at));
  }
  for (var step = 1u; step < LANES; step *= 2u) {
    keep(lane, sum);
    workgroupBarrier();
    if (lane >= step) {
      sum = plus(sum, kept(lane - step));
    }
    workgroupBarrier();
  }
  keep(lane, sum);
  workgroupBarrier();
}

fn keep(lane: u32, sum: Tally) {
  a[lane] = sum.x;
  b[lane] = sum.y;
  c[lane] = sum.z;
}

fn kept(lane: u32) -> Tally {
  return Tally(a[lane], b[lane], c[lane]);
}

// Where a goal is reached: the bin, what is before it, and what is in it and before it.
struct Place { bin: u32, before: Tally, through: Tally }

const NOWHERE = BINS;

var<workgroup> place: Place;

// Finds the bin with which 'base' and the bins reach the goal. One lane has it, and tells the others.
fn seek(lane: u32, base: Tally, goal: Tally, by_count: bool) -> Place {
  if (lane == 0u) {
    place.bin = NOWHERE;
  }
  workgroupBarrier();
  var through = base;
  if (lane > 0u) {
    through = plus(base, kept(lane - 1u));
  }
  // A goal of nothing is reached with the first token.
  var reached = lane > 0u && reaches(through, goal, by_count);
  for (var at = 0u; at < 4u; at++) {
    let own = tally_of(4u * lane + at);
    let before = through;
    through = plus(through, own);
    if (!reached && own.x > 0u && reaches(through, goal, by_count)) {
      reached = true;
      place = Place(4u * lane + at, before, through);
    }
  }
  workgroupBarrier();
  let found = place;
  workgroupBarrier();
  return found;
}

// The furthest distance that top-k and top-p leave.
fn furthest_ranked(lane: u32, largest: f32) -> u32 {
  var last = OUT_OF_SIGHT - 1u;
  var total: Tally;
  var around: Place;
  // Top-k and then top-p, each first in coarse bins and then in fine ones. One loop: shaders are compiled inlined, and
  // Mesa's software renderer took half a minute over this when it was written out.
  for (var pass_at = 0u; pass_at < 4u; pass_at++) {
    let by_count = pass_at < 2u;
    let fine = (pass_at & 1u) == 1u;
    if (select(settings.topP == TOP_P_ALL, settings.topK == 0u, by_count)) {
      continue;
    }
    sort_into_bins(lane, largest, select(COARSE, around.bin, fine));
    add_up(lane);
    if (pass_at == 0u || (pass_at == 2u && settings.topK == 0u)) {
      total = kept(LANES - 1u);
    }
    let goal = select(share(total), Tally(settings.topK, 0u, 0u), by_count);
    let found = seek(lane, select(Tally(), around.before, fine), goal, by_count);
    if (!fine) {
      around = found;
    } else if (around.bin != NOWHERE) {
      last = min(last, around.bin * BINS + found.bin);
      total = found.through;
    }
    workgroupBarrier();
  }
  return last;
}

@compute @workgroup_size(LANES)
fn rank(@builtin(local_invocation_index) lane: u32) {
  let largest = best_of_groups(lane).value;
  var furthest = settings.furthest;
  if (has(RANK)) {
    furthest = min(furthest, furthest_ranked(lane, largest));
  }
  if (lane == 0u) {
    state[2] = bitcast<u32>(largest);
    state[3] = furthest;
  }
}
`;
