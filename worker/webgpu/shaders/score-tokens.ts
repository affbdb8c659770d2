/**
 * The kernels for log probabilities, only run if they are asked for.
 *
 * - `shortlist`, over the vocabulary: the largest logits of each workgroup, and the sum of its exponentials.
 * - `score`, one workgroup: the largest of all, the sum of all, and the drawn token's own logit.
 */
export const SCORE = /* wgsl */ `
// The likeliest candidate after another one, in order of falling logit and rising id.
fn next_of(candidate: Best, last: Best, best: Best) -> Best {
  if (better(last, candidate) && better(candidate, best)) {
    return candidate;
  }
  return best;
}

@compute @workgroup_size(LANES)
fn shortlist(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>) {
  const EACH = SPAN / LANES;
  var mine: array<f32, EACH>;
  for (var at = 0u; at < EACH; at++) {
    let id = group.x * SPAN + at * LANES + lane;
    mine[at] = LOWEST;
    if (id < settings.vocab) {
      mine[at] = logit_of(id);
    }
  }
  var last = Best(-LOWEST, 0u);
  var largest = LOWEST;
  for (var rank = 0u; rank < max(settings.top, 1u); rank++) {
    var best = Best(LOWEST, NOBODY);
    for (var at = 0u; at < EACH; at++) {
      best = next_of(Best(mine[at], group.x * SPAN + at * LANES + lane), last, best);
    }
    last = best_of(lane, best);
    if (rank == 0u) {
      largest = last.value;
    }
    if (lane == 0u) {
      let at = settings.groups * PARTIAL + 2u * (group.x * max(settings.top, 1u) + rank);
      results[at] = bitcast<u32>(last.value);
      results[at + 1u] = last.id;
    }
  }
  var sum = 0.0;
  for (var at = 0u; at < EACH; at++) {
    sum += exp(mine[at] - largest);
  }
  sum = sum_of(lane, sum);
  if (lane == 0u) {
    results[group.x * PARTIAL + 3u] = bitcast<u32>(largest);
    results[group.x * PARTIAL + 4u] = bitcast<u32>(sum);
  }
}

fn sum_of(lane: u32, mine: f32) -> f32 {
  a[lane] = bitcast<u32>(mine);
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) {
      a[lane] = bitcast<u32>(bitcast<f32>(a[lane]) + bitcast<f32>(a[lane + half]));
    }
  }
  workgroupBarrier();
  let sum = bitcast<f32>(a[0]);
  workgroupBarrier();
  return sum;
}

// After 'choose', whose slot in the ring it completes.
@compute @workgroup_size(LANES)
fn score(@builtin(local_invocation_index) lane: u32) {
  var best = Best(LOWEST, NOBODY);
  for (var group = lane; group < settings.groups; group += LANES) {
    best.value = max(best.value, bitcast<f32>(results[group * PARTIAL + 3u]));
  }
  let largest = best_of(lane, best).value;
  var sum = 0.0;
  for (var group = lane; group < settings.groups; group += LANES) {
    let peak = bitcast<f32>(results[group * PARTIAL + 3u]);
    sum += bitcast<f32>(results[group * PARTIAL + 4u]) * exp(peak - largest);
  }
  sum = sum_of(lane, sum);
  let slot = ((state[1] - 1u) % settings.slots) * settings.stride;
  if (lane == 0u) {
    ring[slot + 2u] = bitcast<u32>(logit_of(ring[slot]));
    ring[slot + 3u] = bitcast<u32>(largest);
    ring[slot + 4u] = bitcast<u32>(sum);
  }
  var last = Best(-LOWEST, 0u);
  for (var rank = 0u; rank < settings.top; rank++) {
    best = Best(LOWEST, NOBODY);
    for (var at = lane; at < settings.groups * settings.top; at += LANES) {
      let place_of = settings.groups * PARTIAL + 2u * at;
      best = next_of(Best(bitcast<f32>(results[place_of]), results[place_of + 1u]), last, best);
    }
    last = best_of(lane, best);
    if (lane == 0u) {
      let entry = slot + SCORED_WORDS + 2u * rank;
      ring[entry] = last.id;
      ring[entry + 1u] = bitcast<u32>(last.value);
    }
  }
}
`;
