/**
 * The kernels that sample.
 *
 * - `adjust`, over the vocabulary: steps 0 to 4 of worker/sampling/cpu-sampler.ts, and the best token of each workgroup.
 * - `sample_filtered`, over the vocabulary, if there are filters: the best tokens again, of those that pass them.
 * - `choose`, one workgroup: the best token of all. Writes it to the ring and counts it.
 */
export const SAMPLE = /* wgsl */ `
fn adjusted(id: u32) -> f32 {
  var x = logit_of(id);
  if (has(MASK) && ((mask[id / 32u] >> (id % 32u)) & 1u) == 0u) { return LOWEST; }
  if (x > -MAX_LOGIT) { flags |= ALLOWED; }
  if (has(BIAS)) { x += bias[id]; }
  if (has(PENALTIES)) {
    let seen = state[HEADER_WORDS + id];
    if ((seen & 1u) == 1u) { x *= select(settings.repetition, settings.inverseRepetition, x > 0.0); }
    if (seen > 1u) { x -= f32(seen >> 1u) * settings.frequency + settings.presence; }
  }
  return x * settings.scale;
}

var<workgroup> all_flags: atomic<u32>;

@compute @workgroup_size(LANES)
fn adjust(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let key = sample_key();
  let noisy = has(SAMPLE) && !has(FILTER);
  var best = Best(LOWEST, NO_TOKEN);
  for (var at = group.x * GROUP_TOKENS + lane; at < min(settings.vocab, (group.x + 1u) * GROUP_TOKENS); at += LANES) {
    var own = Best(adjusted(at), at);
    scaled[at] = own.value;
    if (noisy) { own.value += gumbel(key, at); }
    if (better(own, best)) { best = own; }
  }
  atomicOr(&all_flags, flags);
  best = best_of(lane, best);
  if (lane == 0u) {
    let at = group.x * PARTIAL_WORDS;
    results[at] = bitcast<u32>(best.value);
    results[at + 1u] = best.id;
    results[at + 2u] = atomicLoad(&all_flags);
  }
}

fn units_below(largest: f32, x: f32) -> u32 {
  let bits = largest - x;
  if (bits < 32.0) { return u32(bits * UNITS_PER_BIT); }
  return NEGLIGIBLE;
}

// The best of the workgroups' best tokens.
fn best_of_groups(lane: u32) -> Best {
  var best = Best(LOWEST, NO_TOKEN);
  for (var group = lane; group < settings.groups; group += LANES) {
    let own = Best(bitcast<f32>(results[group * PARTIAL_WORDS]), results[group * PARTIAL_WORDS + 1u]);
    flags |= results[group * PARTIAL_WORDS + 2u];
    if (better(own, best)) { best = own; }
  }
  return best_of(lane, best);
}

@compute @workgroup_size(LANES)
fn sample_filtered(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>) {
  let key = sample_key();
  let largest = bitcast<f32>(state[2]);
  var best = Best(LOWEST, NO_TOKEN);
  for (var id = group.x * GROUP_TOKENS + lane; id < min(settings.vocab, (group.x + 1u) * GROUP_TOKENS); id += LANES) {
    if (units_below(largest, scaled[id]) > state[3]) { continue; }
    let own = Best(scaled[id] + gumbel(key, id), id);
    if (better(own, best)) { best = own; }
  }
  best = best_of(lane, best);
  if (lane == 0u) {
    results[group.x * PARTIAL_WORDS] = bitcast<u32>(best.value);
    results[group.x * PARTIAL_WORDS + 1u] = best.id;
  }
}

@compute @workgroup_size(LANES)
fn choose(@builtin(local_invocation_index) lane: u32) {
  let best = best_of_groups(lane);
  atomicOr(&all_flags, flags);
  workgroupBarrier();
  if (lane == 0u) {
    // Without any finite or allowed logit there is no best token: any id within the vocabulary will do.
    let id = min(best.id, settings.vocab - 1u);
    let slot = (state[1] % settings.slots) * settings.stride;
    ring[slot] = id;
    ring[slot + 1u] = atomicLoad(&all_flags);
    state[1] += 1u;
    state[0] = id;
    state[HEADER_WORDS + id] = (state[HEADER_WORDS + id] + 2u) | 1u;
  }
}
`;
