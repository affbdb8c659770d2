/** The name of a value's built-in class. Not by `instanceof`: an object of another window is an instance of none of this one's. */
export function className(value: unknown): string {
  return Object.prototype.toString.call(value).slice('[object '.length, -1);
}
