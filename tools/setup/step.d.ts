/** A step that installs something the machine lacks. */
export interface Step {
  /** Describes the step; printed before it runs. */
  announcement: string;
  /** What the user can do instead. */
  advice: string;
  /** Runs the step. Returns whether it succeeded. */
  run: () => boolean;
}
