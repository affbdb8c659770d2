/**
 * The kernels of drawing.
 *
 * - `adjust`, over the vocabulary: steps 0 to 4 of worker/sampling/cpu-sampler.ts, and the winner of each workgroup.
 * - `sample`, over the vocabulary, if tokens are filtered: the winners again, among those that `rank` left.
 * - `choose`, one workgroup: the winner of all. It is written to the ring, and counted.
 */
export const DRAW = /* wgsl */ `
fn adjusted(id: u32) -> f32 {
  var x = logit_of(id);
  if (has(MASK) && ((mask[id / 32u] >> (id % 32u)) & 1u) == 0u) {
    return LOWEST;
  }
  if (x > -MOST) {
    flags |= ALLOWED;
  }
  if (has(BIAS)) {
    x += bias[id];
  }
  if (has(PENALTIES)) {
    let seen = state[HEADER + id];
    if ((seen & 1u) == 1u) {
      x *= select(settings.repetition, settings.inverseRepetition, x > 0.0);
    }
    if (seen > 1u) {
      x -= f32(seen >> 1u) * settings.frequency + settings.presence;
    }
  }
  return x * settings.scale;
}

var<workgroup> all_flags: atomic<u32>;

@compute @workgroup_size(LANES)
fn adjust(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let key = draw_key();
  let noisy = has(DRAW) && !has(FILTER);
  var best = Best(LOWEST, NOBODY);
  for (var at = group.x * SPAN + lane; at < min(settings.vocab, (group.x + 1u) * SPAN); at += LANES) {
    var mine = Best(adjusted(at), at);
    scaled[at] = mine.value;
    if (noisy) {
      mine.value += gumbel(key, at);
    }
    if (better(mine, best)) {
      best = mine;
    }
  }
  atomicOr(&all_flags, flags);
  best = best_of(lane, best);
  if (lane == 0u) {
    let at = group.x * PARTIAL;
    results[at] = bitcast<u32>(best.value);
    results[at + 1u] = best.id;
    results[at + 2u] = atomicLoad(&all_flags);
  }
}

fn distance_of(largest: f32, x: f32) -> u32 {
  let bits = largest - x;
  if (bits < 32.0) {
    return u32(bits * UNITS);
  }
  return OUT_OF_SIGHT;
}

// The best of what the workgroups over the vocabulary found.
fn best_of_groups(lane: u32) -> Best {
  var best = Best(LOWEST, NOBODY);
  for (var group = lane; group < settings.groups; group += LANES) {
    let mine = Best(bitcast<f32>(results[group * PARTIAL]), results[group * PARTIAL + 1u]);
    flags |= results[group * PARTIAL + 2u];
    if (better(mine, best)) {
      best = mine;
    }
  }
  return best_of(lane, best);
}

@compute @workgroup_size(LANES)
fn draw(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let key = draw_key();
  let largest = bitcast<f32>(state[2]);
  var best = Best(LOWEST, NOBODY);
  for (var id = group.x * SPAN + lane; id < min(settings.vocab, (group.x + 1u) * SPAN); id += LANES) {
    if (distance_of(largest, scaled[id]) > state[3]) {
      continue;
    }
    let mine = Best(scaled[id] + gumbel(key, id), id);
    if (better(mine, best)) {
      best = mine;
    }
  }
  best = best_of(lane, best);
  if (lane == 0u) {
    results[group.x * PARTIAL] = bitcast<u32>(best.value);
    results[group.x * PARTIAL + 1u] = best.id;
  }
}

@compute @workgroup_size(LANES)
fn choose(@builtin(local_invocation_index) lane: u32) {
  let best = best_of_groups(lane);
  atomicOr(&all_flags, flags);
  workgroupBarrier();
  if (lane == 0u) {
    // Where nothing was a number, or nothing allowed, nobody won: any id will do that is in the vocabulary.
    let id = min(best.id, settings.vocab - 1u);
    let slot = (state[1] % settings.slots) * settings.stride;
    ring[slot] = id;
    ring[slot + 1u] = atomicLoad(&all_flags);
    state[1] += 1u;
    state[0] = id;
    state[HEADER + id] = (state[HEADER + id] + 2u) | 1u;
  }
}
`;
