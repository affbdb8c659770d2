import type { ModelLicence } from './model-spec.ts';

/** Licences of models that restrict their use, by the name that cards on the hub give them. */
export const RESTRICTED = {
  'lfm1.0': {
    name: 'LFM Open License 1.0',
    url: 'https://docs.liquid.ai/lfm/getting-started/model-license',
    restricted: true,
    restriction: 'Commercial use is free only below a yearly revenue of 10 million US dollars',
  },
  'apple-amlr': {
    name: 'Apple Machine Learning Research Model License',
    url: 'https://github.com/apple/ml-fastvlm/blob/main/LICENSE_MODEL',
    restricted: true,
    restriction: 'For research only, not for products',
  },
  gemma: {
    name: 'Gemma Terms of Use',
    url: 'https://ai.google.dev/gemma/terms',
    restricted: true,
    restriction: 'Not for the uses that its list of prohibited uses names',
  },
} as const satisfies Record<string, ModelLicence>;
