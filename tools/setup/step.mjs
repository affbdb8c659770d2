/**
 * Something that the machine lacks, and the way to get it.
 *
 * @typedef {object} Step
 * @property {string} announcement what would be done, said before it is done
 * @property {string} advice what a person can do instead
 * @property {() => boolean | Promise<boolean>} run whether it worked
 */

export {};
