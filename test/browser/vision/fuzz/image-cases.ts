/**
 * Image files of every container, orientation, transparency and bit depth, with the pixels that the reference finds in
 * them: those of libvips, upright and on white, with colour profiles ignored.
 */
import sharp, { type Sharp } from 'sharp';
import { integer, pick, type Random, xorshift } from '../../../random.ts';
import { COLOUR_TYPES, writePng } from './png-writer.ts';

// Node's event loop is not what is measured, and the browser needs the other core.
sharp.concurrency(1);

export interface ImageCase {
  /** What it is, and how to make it again. */
  name: string;
  container: (typeof CONTAINERS)[number];
  bytes: Buffer;
  width: number;
  height: number;
  /** The pixels of the reference. */
  rgb: Uint8Array;
  tolerance: Tolerance;
}

/** By how many levels a browser may differ from the reference: at most, and on average. */
export interface Tolerance {
  max: number;
  mean: number;
}

/** Stored pixels: 8 bits, red, green, blue and alpha. */
interface Source {
  width: number;
  height: number;
  data: Uint8Array;
  opaque: boolean;
}

/** A file as stored, once without an orientation and once with it. */
interface Encoded {
  form: string;
  plain: Buffer;
  oriented: Buffer;
  tolerance: Tolerance;
}

export const CONTAINERS = ['png', 'jpeg', 'webp', 'avif', 'gif'] as const;

const EXACT: Tolerance = { max: 0, mean: 0 };
/** Of 16 bits, Firefox rounds where the reference takes the upper eight; of colour and alpha each. */
const ROUNDED: Tolerance = { max: 2, mean: 1 };

/** Case `index` of a seed; each can be made alone. */
export async function imageCase(seed: number, index: number): Promise<ImageCase> {
  const random = xorshift(seed * 10_007 + index * 7919);
  for (let i = 0; i < 8; i++) random();
  const container = CONTAINERS[index % CONTAINERS.length]!;
  // Frames of a GIF have no orientation.
  const orientation = container === 'gif' ? 1 : 1 + (Math.floor(index / CONTAINERS.length) % 8);
  const source = makeSource(random);
  const { form, plain, oriented, tolerance } = await ENCODERS[container](random, source, orientation);
  const { data, info } = await upright(await decoded(plain), orientation);
  const name = `seed ${seed}, case ${index}: ${info.width} x ${info.height} ${container} ${form}, orientation ${orientation}`;
  return {
    name,
    container,
    bytes: oriented,
    width: info.width,
    height: info.height,
    rgb: onWhite(data),
    tolerance,
  };
}

/** Noise, gradients or areas of one colour, with edges; without symmetry, so that a wrong turn shows. */
function makeSource(random: Random): Source {
  const tall = random() < 0.04;
  const width = 1 + integer(random, tall ? 8 : 40);
  // More than the rows that are read at a time.
  const height = tall ? 257 + integer(random, 400) : 1 + integer(random, 40);
  const data = new Uint8Array(width * height * 4);
  const kind = pick(random, ['noise', 'gradient', 'areas']);
  const transparency = pick(random, ['none', 'none', 'mask', 'gradient', 'noise'] as const);
  const [dx, dy, cell] = [1 + integer(random, 9), 1 + integer(random, 9), 2 + integer(random, 7)];
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 4) {
      const area = Math.floor(x / cell) * 89 + Math.floor(y / cell) * 57;
      const level = { noise: integer(random, 256), gradient: x * dx + y * dy, areas: area }[kind]!;
      data.set([level, level * 3 + x, 255 - level + y], at);
      data[at + 3] = { none: 255, mask: area & 1 ? 255 : 0, gradient: (x + y) * 6, noise: integer(random, 256) }[
        transparency
      ];
    }
  }
  return { width, height, data, opaque: transparency === 'none' };
}

const ENCODERS: Record<ImageCase['container'], (random: Random, source: Source, turn: number) => Promise<Encoded>> = {
  png: async (random, source, orientation) => {
    const { form, make, depth } = choosePng(random, source);
    const chunk = ['eXIf', exifData(orientation, random() < 0.5)] as const;
    return { form, plain: make([]), oriented: make([chunk]), tolerance: depth === 16 ? ROUNDED : EXACT };
  },
  jpeg: async (random, source, orientation) => {
    const colour = pick(random, ['rgb', 'rgb', 'grey', 'cmyk'] as const);
    const options = {
      quality: pick(random, [40, 75, 90, 100]),
      progressive: random() < 0.4,
      chromaSubsampling: pick(random, ['4:2:0', '4:4:4']),
      optimiseCoding: random() < 0.5,
    };
    const space = { rgb: 'srgb', grey: 'b-w', cmyk: 'cmyk' }[colour];
    const encode = (image: Sharp): Sharp => image.removeAlpha().toColourspace(space).jpeg(options);
    // The formula that turns CMYK into RGB rounds differently.
    const tolerance = colour === 'cmyk' ? ROUNDED : EXACT;
    const encoded = await withOrientation(source, orientation, encode, { ...options, colour }, tolerance);
    // With an orientation, libvips also writes a colour profile, for which it converts the inks.
    return { ...encoded, plain: encoded.oriented };
  },
  webp: (random, source, orientation) => {
    const options = { lossless: random() < 0.5, quality: pick(random, [30, 75, 100]), effort: 1 };
    return withOrientation(source, orientation, (image) => image.webp(options), options, EXACT);
  },
  avif: (random, source, orientation) => {
    const options = {
      lossless: random() < 0.2,
      quality: pick(random, [40, 70, 90]),
      effort: 0,
      chromaSubsampling: pick(random, ['4:2:0', '4:4:4']),
      bitdepth: pick(random, [8, 10, 12] as const),
    };
    // Decoders do not agree on how to scale the halved colours up. Transparent ones Chromium blends otherwise.
    const halved = options.chromaSubsampling === '4:2:0' && !options.lossless;
    const whole = source.opaque ? { max: 4, mean: 2 } : { max: 24, mean: 8 };
    const tolerance = halved ? { max: 255, mean: 40 } : whole;
    return withOrientation(source, orientation, (image) => image.avif(options), options, tolerance);
  },
  gif: (random, source) => {
    const options = { effort: 1, dither: 0, colours: pick(random, [2, 16, 256]), progressive: random() < 0.5 };
    return withOrientation(source, 1, (image) => image.gif(options), options, EXACT);
  },
};

async function withOrientation(
  { width, height, data, opaque }: Source,
  orientation: number,
  encode: (image: Sharp) => Sharp,
  form: object,
  tolerance: Tolerance,
): Promise<Encoded> {
  const open = (): Sharp => {
    const image = sharp(data, { raw: { width, height, channels: 4 } });
    return opaque ? image.removeAlpha() : image;
  };
  const plain = await encode(open()).toBuffer();
  const oriented = orientation === 1 ? plain : await encode(open()).withMetadata({ orientation }).toBuffer();
  return { form: JSON.stringify({ ...form, opaque }), plain, oriented, tolerance };
}

type Chunks = readonly (readonly [type: string, data: Uint8Array])[];

function choosePng(random: Random, { width, height, data, opaque }: Source) {
  const colours = opaque ? (['grey', 'rgb', 'palette'] as const) : (['greyAlpha', 'rgba', 'palette'] as const);
  const colour = pick(random, colours);
  const depth = pick<number>(random, COLOUR_TYPES[colour].depths);
  const interlaced = random() < 0.4;
  const samples = { grey: [0], rgb: [0, 1, 2], palette: [0], greyAlpha: [1, 3], rgba: [0, 1, 2, 3] }[colour];
  // The lower byte of 16 bits is another than the upper, so that rounding shows.
  const scale = (level: number): number => (depth === 16 ? level * 256 + ((level * 7) & 255) : level >> (8 - depth));
  const pixel = (x: number, y: number): number[] => samples.map((i) => scale(data[(y * width + x) * 4 + i]!));
  const before: [string, Uint8Array][] = [];
  if (colour === 'palette') {
    before.push(['PLTE', Uint8Array.from({ length: 3 << depth }, () => integer(random, 256))]);
    const count = 1 + integer(random, 1 << depth);
    if (!opaque) before.push(['tRNS', Uint8Array.from({ length: count }, () => integer(random, 256))]);
  } else if (opaque && random() < 0.3) {
    // One colour is transparent: that of a pixel.
    const key = Buffer.alloc(samples.length * 2);
    for (const [i, sample] of pixel(integer(random, width), integer(random, height)).entries()) {
      key.writeUInt16BE(sample, i * 2);
    }
    before.push(['tRNS', key]);
  }
  const make = (chunks: Chunks): Buffer =>
    writePng({ width, height, colour, depth, interlaced, pixel, chunks: [...before, ...chunks] });
  const form = JSON.stringify({ colour, depth, interlaced, chunks: before.map(([type]) => type) });
  return { form, make, depth };
}

/** A TIFF file with one entry, in either byte order. */
function exifData(orientation: number, little: boolean): Uint8Array {
  const view = new DataView(new ArrayBuffer(26));
  view.setUint16(0, little ? 0x4949 : 0x4d4d);
  view.setUint16(2, 42, little);
  view.setUint32(4, 8, little);
  view.setUint16(8, 1, little);
  view.setUint16(10, 0x0112, little);
  view.setUint16(12, 3, little);
  view.setUint32(14, 1, little);
  view.setUint16(18, orientation, little);
  return new Uint8Array(view.buffer);
}

/** Red, green, blue and alpha as stored. */
async function decoded(file: Buffer): Promise<Source> {
  const image = sharp(file);
  const { space } = await image.metadata();
  if (space === 'cmyk') return decodeCmyk(file);
  const { data, info } = await image.toColourspace('srgb').ensureAlpha().raw({ depth: 'uchar' }).toBuffer({
    resolveWithObject: true,
  });
  return { width: info.width, height: info.height, data, opaque: false };
}

/** As Pillow and browsers do it, without a profile: libvips has one built in. */
async function decodeCmyk(file: Buffer): Promise<Source> {
  const { data: inks, info } = await sharp(file)
    .pipelineColourspace('cmyk')
    .toColourspace('cmyk')
    .raw()
    .toBuffer({ resolveWithObject: true });
  const data = new Uint8Array(inks.length).fill(255);
  for (let at = 0; at < inks.length; at += 4) {
    for (let i = at; i < at + 3; i++) data[i] = Math.round(((255 - inks[i]!) * (255 - inks[at + 3]!)) / 255);
  }
  return { width: info.width, height: info.height, data, opaque: false };
}

/** Rotated by libvips, and then mirrored left to right: in two runs, because in one it mirrors first. */
async function upright({ width, height, data }: Source, orientation: number) {
  const degrees = [0, 0, 180, 180, 90, 90, 270, 270][orientation - 1]!;
  const turned = await sharp(data, { raw: { width, height, channels: 4 } })
    .rotate(degrees)
    .raw()
    .toBuffer({ resolveWithObject: true });
  if (![2, 4, 5, 7].includes(orientation)) return turned;
  const raw = { width: turned.info.width, height: turned.info.height, channels: 4 } as const;
  return sharp(turned.data, { raw }).flop().raw().toBuffer({ resolveWithObject: true });
}

function onWhite(rgba: Uint8Array): Uint8Array {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    const alpha = rgba[from + 3]!;
    for (let i = from; i < from + 3; i++, to++) rgb[to] = Math.round((rgba[i]! * alpha + 255 * (255 - alpha)) / 255);
  }
  return rgb;
}
