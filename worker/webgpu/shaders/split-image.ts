import { LEVELS } from '../../vision/cpu-image-splitter.ts';
import { PRECISION } from '../../vision/resample.ts';

/** Edge of a workgroup in both shaders. */
export const WORKGROUP_SIZE = 8;

/**
 * One pass of a resize along one axis, with the same integer arithmetic as `worker/vision/resample.ts`, and so the same
 * bytes: sums of 8-bit levels and 22-bit weights fit in 32 bits, overshoot included.
 *
 * Images are one word a pixel, with red in its lowest byte; uploaded images are triples of bytes.
 */
export const RESAMPLE = /* wgsl */ `
struct Pass {
  /** Of the result. */
  width: u32,
  height: u32,
  /** The first row of the result to write. */
  top: u32,
  vertical: u32,
  /** Distance between source pixels along the axis, and between lines. */
  step: u32,
  line: u32,
  /** Samples of the result along the axis, and weights reserved for each. */
  samples: u32,
  stride: u32,
  triples: u32,
}

@group(0) @binding(0) var<uniform> job: Pass;
@group(0) @binding(1) var<storage, read> source: array<u32>;
/** The first source sample and the number of weights of each sample; then all weights. */
@group(0) @binding(2) var<storage, read> kernels: array<i32>;
@group(0) @binding(3) var<storage, read_write> result: array<u32>;

const PRECISION = ${PRECISION}u;
const HALF = 1 << (PRECISION - 1u);

fn levels(pixel: u32) -> vec3i {
  var rgb: u32;
  if (job.triples == 1u) {
    let byte = pixel * 3u;
    let shift = (byte & 3u) * 8u;
    rgb = source[byte >> 2u] >> shift;
    if (shift > 8u) { rgb |= source[(byte >> 2u) + 1u] << (32u - shift); }
  } else {
    rgb = source[pixel];
  }
  return vec3i(vec3u(rgb, rgb >> 8u, rgb >> 16u) & vec3u(255u));
}

@compute @workgroup_size(${WORKGROUP_SIZE}, ${WORKGROUP_SIZE})
fn resample(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= job.width || id.y >= job.height) { return; }
  let vertical = job.vertical == 1u;
  let along = select(id.x, id.y, vertical);
  let across = select(id.y, id.x, vertical);
  let first = across * job.line + u32(kernels[2u * along]) * job.step;
  let count = u32(kernels[2u * along + 1u]);
  let weights = 2u * job.samples + along * job.stride;
  var sum = vec3i(HALF);
  for (var k = 0u; k < count; k++) { sum += levels(first + k * job.step) * kernels[weights + k]; }
  let rgb = vec3u(clamp(sum >> vec3u(PRECISION), vec3i(0), vec3i(255)));
  result[(job.top + id.y) * job.width + id.x] = rgb.r | (rgb.g << 8u) | (rgb.b << 16u);
}
`;

/**
 * Cuts out one crop, maps each channel's levels to floats with a table, and puts them where the layout says. `line` is the
 * width of the resized image, `base` the first value of the crop in the batch. Offsets are those of the rows, then of the columns.
 */
export const CROP = /* wgsl */ `
struct Crop {
  width: u32,
  height: u32,
  left: u32,
  top: u32,
  line: u32,
  base: u32,
  channel_step: u32,
  frames: u32,
  frame_step: u32,
}

@group(0) @binding(0) var<uniform> crop: Crop;
@group(0) @binding(1) var<storage, read> source: array<u32>;
/** ${LEVELS} for each channel. */
@group(0) @binding(2) var<storage, read> values: array<f32>;
@group(0) @binding(3) var<storage, read> offsets: array<u32>;
@group(0) @binding(4) var<storage, read_write> result: array<f32>;

@compute @workgroup_size(${WORKGROUP_SIZE}, ${WORKGROUP_SIZE})
fn cut_out(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= crop.width || id.y >= crop.height) { return; }
  let rgb = source[(crop.top + id.y) * crop.line + crop.left + id.x];
  var at = crop.base + offsets[id.y] + offsets[crop.height + id.x];
  for (var frame = 0u; frame < crop.frames; frame++) {
    result[at] = values[rgb & ${LEVELS - 1}u];
    result[at + crop.channel_step] = values[${LEVELS}u + ((rgb >> 8u) & ${LEVELS - 1}u)];
    result[at + 2u * crop.channel_step] = values[${2 * LEVELS}u + ((rgb >> 16u) & ${LEVELS - 1}u)];
    at += crop.frame_step;
  }
}
`;
