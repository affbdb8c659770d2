import { settledWithin } from '../../src/async/settled-within.ts';

/** What a copy of an image needs of its texture: COPY_SRC, COPY_DST and RENDER_ATTACHMENT. */
const TEXTURE_USAGE = 0x01 | 0x02 | 0x10;

/** MAP_READ and COPY_DST. */
const BUFFER_USAGE = 0x1 | 0x8;

/** `GPUMapMode.READ`. */
const MODE_READ = 0x1;

/** Drivers are known that never answer. */
const MAX_ANSWER_MS = 10_000;

/** Copies between textures and buffers need rows of a multiple of this. */
const ROW_BYTES = 256;

/**
 * Reads an image through WebGPU, for browsers whose canvas gives other pixels than were drawn. In Firefox, the colours of
 * transparent pixels are up to one level off.
 *
 * @param onBand gets the RGBA bytes of up to `bandRows` rows, whose colours are not multiplied by alpha
 * @throws Error with the reason in plain words
 */
export async function readBandsOnGpu(
  bitmap: ImageBitmap,
  bandRows: number,
  onBand: (pixels: Uint8Array, top: number) => void,
): Promise<void> {
  const opening = navigator.gpu?.requestAdapter().then((adapter) => adapter?.requestDevice());
  const device = await settledWithin(MAX_ANSWER_MS, Promise.resolve(opening)).catch(() => undefined);
  if (!device) throw new Error(`${DISTURBED}, and there is no WebGPU to read it with instead. ${ADVICE}`);
  try {
    const { width, height } = bitmap;
    const maxEdge = device.limits.maxTextureDimension2D;
    if (width > maxEdge) throw new Error(`${DISTURBED}, and WebGPU reads at most ${maxEdge} pixels a row. ${ADVICE}`);
    const rows = Math.min(bandRows, height);
    const texture = device.createTexture({ size: [width, rows], format: 'rgba8unorm', usage: TEXTURE_USAGE });
    const bytesPerRow = Math.ceil((width * 4) / ROW_BYTES) * ROW_BYTES;
    const buffer = device.createBuffer({ size: bytesPerRow * rows, usage: BUFFER_USAGE });
    for (let top = 0; top < height; top += bandRows) {
      const size = [width, Math.min(bandRows, height - top)] as const;
      device.queue.copyExternalImageToTexture({ source: bitmap, origin: [0, top] }, { texture }, size);
      const encoder = device.createCommandEncoder();
      encoder.copyTextureToBuffer({ texture }, { buffer, bytesPerRow }, size);
      device.queue.submit([encoder.finish()]);
      await buffer.mapAsync(MODE_READ);
      onBand(packRows(new Uint8Array(buffer.getMappedRange()), width * 4, bytesPerRow, size[1]), top);
      buffer.unmap();
    }
  } finally {
    device.destroy();
  }
}

const DISTURBED = 'this browser changes the pixels that are read from a canvas, as a protection against fingerprinting';
const ADVICE = 'Allow this site to read canvases';

/** Rows without the bytes between them. */
function packRows(padded: Uint8Array, rowBytes: number, stride: number, rows: number): Uint8Array {
  const packed = new Uint8Array(rowBytes * rows);
  for (let row = 0; row < rows; row++)
    packed.set(padded.subarray(row * stride, row * stride + rowBytes), row * rowBytes);
  return packed;
}
