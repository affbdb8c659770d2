import { NearsightError } from '../../src/protocol/errors.ts';

/**
 * The error for an image that cannot be read. Most clients show only the message, so it must name the image; `ask` has only
 * one.
 *
 * @param why what is said of the image, up to the full stop
 */
export function unreadableImage(param: string, why: string, cause?: unknown): NearsightError {
  const which = param === 'image' ? 'The image' : `The image at ${param}`;
  return new NearsightError('unreadable_image', `${which} ${why}.`, { param, cause });
}
