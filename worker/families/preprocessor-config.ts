import type { Filter, SplitPlan } from '../backend/image-splitter.ts';
import { CHANNELS, RESCALE_FACTOR } from '../vision/cpu-image-splitter.ts';
import type { ConfigReader } from './config-reader.ts';
import type { TemplateTokenizer } from './tokenizer.ts';

/** Pillow's numbers. */
const FILTERS: ReadonlyMap<unknown, Filter> = new Map([
  [1, 'lanczos'],
  [2, 'bilinear'],
  [3, 'bicubic'],
]);

/** What the reference takes for fields that a config does not have. */
export interface AbsentLevels {
  filter: Filter;
  mean: readonly number[];
  std: readonly number[];
}

/**
 * The filter, and how levels become values. As in the Python reference, a step that the config does not name is done:
 * transformers.js leaves out `do_normalize` then.
 */
export function readLevels(
  preprocessor: ConfigReader,
  absent: AbsentLevels,
): Pick<SplitPlan, 'filter' | 'mean' | 'std'> {
  preprocessor.expect('do_rescale', true, true);
  preprocessor.expect('rescale_factor', RESCALE_FACTOR, RESCALE_FACTOR);
  const resample = preprocessor.get('resample') ?? undefined;
  const filter = resample === undefined ? absent.filter : FILTERS.get(resample);
  if (!filter) throw preprocessor.error('resample', '1, 2 or 3 (Lanczos, bilinear, bicubic)');
  if (preprocessor.get('do_normalize') === false) return { filter, mean: [0, 0, 0], std: [1, 1, 1] };
  preprocessor.expect('do_normalize', true, true);
  return {
    filter,
    mean: preprocessor.numbers('image_mean', CHANNELS, absent.mean),
    std: preprocessor.numbers('image_std', CHANNELS, absent.std),
  };
}

/** The name of the special token whose id a config has. */
export function specialName(tokenizer: TemplateTokenizer, config: ConfigReader, path: string, absent?: number): string {
  const id = config.count(path, absent);
  const [name] = [...tokenizer.special].find(([, other]) => other === id) ?? [];
  if (name === undefined) throw config.error(path, 'the id of a special token');
  return name;
}
