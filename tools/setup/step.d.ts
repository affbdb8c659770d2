/** Something that the machine lacks, and the way to get it. */
export interface Step {
  /** What would be done, said before it is done. */
  announcement: string;
  /** What a person can do instead. */
  advice: string;
  /** Does it, and says whether it worked. */
  run: () => boolean;
}
