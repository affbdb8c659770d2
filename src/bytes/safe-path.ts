/**
 * Whether a path from a listing or an archive stays within its folder on every system: no `.` and `..`, nothing absolute,
 * no drive, no backslash, no empty segment, no control character.
 */
export function isSafePath(path: unknown): path is string {
  if (typeof path !== 'string' || path.length > 255) return false;
  return path.split('/').every((segment) => segment !== '' && !/^\.\.?$|[\\:\p{Cc}]/u.test(segment));
}
