/**
 * The kernels for log probabilities, which only run if they are requested.
 *
 * - `partial_logprobs`, over the vocabulary: the largest logits of each workgroup, and the sum of its exponentials.
 * - `logprobs`, one workgroup: the largest logits of all, the total sum, and the sampled token's logit.
 */
export const LOGPROBS = /* wgsl */ `
// The better of 'best' and a candidate after 'last', in order of descending logit and ascending id.
fn next_of(candidate: Best, last: Best, best: Best) -> Best {
  if (better(last, candidate) && better(candidate, best)) { return candidate; }
  return best;
}

@compute @workgroup_size(LANES)
fn partial_logprobs(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>) {
  const LANE_TOKENS = GROUP_TOKENS / LANES;
  var own: array<f32, LANE_TOKENS>;
  for (var at = 0u; at < LANE_TOKENS; at++) {
    let id = group.x * GROUP_TOKENS + at * LANES + lane;
    own[at] = LOWEST;
    if (id < settings.vocab) { own[at] = logit_of(id); }
  }
  var last = Best(-LOWEST, 0u);
  var largest = LOWEST;
  for (var rank = 0u; rank < max(settings.top, 1u); rank++) {
    var best = Best(LOWEST, NO_TOKEN);
    for (var at = 0u; at < LANE_TOKENS; at++) {
      best = next_of(Best(own[at], group.x * GROUP_TOKENS + at * LANES + lane), last, best);
    }
    last = best_of(lane, best);
    if (rank == 0u) { largest = last.value; }
    if (lane == 0u) {
      let at = settings.groups * PARTIAL_WORDS + 2u * (group.x * max(settings.top, 1u) + rank);
      results[at] = bitcast<u32>(last.value);
      results[at + 1u] = last.id;
    }
  }
  var sum = 0.0;
  for (var at = 0u; at < LANE_TOKENS; at++) { sum += exp(own[at] - largest); }
  sum = sum_of(lane, sum);
  if (lane == 0u) {
    results[group.x * PARTIAL_WORDS + 3u] = bitcast<u32>(largest);
    results[group.x * PARTIAL_WORDS + 4u] = bitcast<u32>(sum);
  }
}

fn sum_of(lane: u32, own: f32) -> f32 {
  a[lane] = bitcast<u32>(own);
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { a[lane] = bitcast<u32>(bitcast<f32>(a[lane]) + bitcast<f32>(a[lane + half])); }
  }
  workgroupBarrier();
  let sum = bitcast<f32>(a[0]);
  workgroupBarrier();
  return sum;
}

// Runs after 'choose' and completes its ring entry.
@compute @workgroup_size(LANES)
fn logprobs(@builtin(local_invocation_index) lane: u32) {
  var best = Best(LOWEST, NO_TOKEN);
  for (var group = lane; group < settings.groups; group += LANES) {
    best.value = max(best.value, bitcast<f32>(results[group * PARTIAL_WORDS + 3u]));
  }
  let largest = best_of(lane, best).value;
  var sum = 0.0;
  for (var group = lane; group < settings.groups; group += LANES) {
    let group_max = bitcast<f32>(results[group * PARTIAL_WORDS + 3u]);
    sum += bitcast<f32>(results[group * PARTIAL_WORDS + 4u]) * exp(group_max - largest);
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
    best = Best(LOWEST, NO_TOKEN);
    for (var at = lane; at < settings.groups * settings.top; at += LANES) {
      let word = settings.groups * PARTIAL_WORDS + 2u * at;
      best = next_of(Best(bitcast<f32>(results[word]), results[word + 1u]), last, best);
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
