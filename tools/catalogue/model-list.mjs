/**
 * The models that we know of, for a terminal and for docs/models.md.
 *
 * @typedef {import('../../models/known-models.ts').KnownModel} KnownModel
 */

const TRIED = {
  shapes: 'its graphs, with random weights',
  layout: 'a tiny model of its layout, with random weights',
  nothing: 'nothing yet',
};

/** @param {number} bytes */
const megabytes = (bytes) => `${Math.round(bytes / 1e6).toLocaleString('en')} MB`;

/**
 * @param {KnownModel} known
 * @returns {[f16: string, other: string]}
 */
function sizes({ bytes }) {
  return bytes ? [megabytes(bytes.f16), megabytes(bytes.other)] : ['not known', 'not known'];
}

/** @param {KnownModel} known */
const licenceName = ({ licence }) => licence.spdx ?? licence.name ?? 'unknown';

/** @param {KnownModel} known */
const hashes = ({ model }) => ('hub' in model ? 'recorded at first use' : 'pinned');

/**
 * What `createNearsight` takes as `model`.
 *
 * @param {KnownModel} known
 * @param {Readonly<Record<string, unknown>>} exported by `nearsight/models`
 */
function asCode({ model }, exported) {
  if (!('hub' in model)) return Object.keys(exported).find((name) => exported[name] === model) ?? `'${model.id}'`;
  const revision = model.revision === undefined ? '' : `, revision: '${model.revision}'`;
  return `{ hub: '${model.hub}'${revision} }`;
}

/**
 * @param {{ knownModels: readonly KnownModel[] } & Readonly<Record<string, unknown>>} exported by `nearsight/models`
 */
export function modelsAsText(exported) {
  const entries = exported.knownModels.map((known) => {
    const [f16, other] = sizes(known);
    const { restriction } = known.licence;
    return [
      `${known.name}: ${known.goodAt}`,
      `  model     ${asCode(known, exported)}`,
      `  download  ${f16 === other ? f16 : `${f16}, or ${other} without shader-f16`}`,
      `  licence   ${licenceName(known)}${restriction === undefined ? '' : `: ${restriction}`}`,
      `  engine    ${known.engine}, for model_type ${known.modelType}`,
      `  hashes    ${hashes(known)}`,
      `  tried     ${TRIED[known.tried]}`,
    ].join('\n');
  });
  return entries.join('\n\n');
}

const SCALED_BY_TRANSFORMERS =
  "- Images: scaled by transformers.js, which draws them to a canvas; the browser's filter decides how, not the model's. Small print wants `detail: 'high'`.";

/**
 * @param {{ knownModels: readonly KnownModel[] } & Readonly<Record<string, unknown>>} exported by `nearsight/models`
 * @param {readonly string[]} byTransformers the `model_type`s whose images transformers.js prepares
 */
export function modelsAsMarkdown(exported, byTransformers) {
  const sections = exported.knownModels.map((known) => {
    const [f16, other] = sizes(known);
    const { url, restriction } = known.licence;
    const licence = url === undefined ? licenceName(known) : `[${licenceName(known)}](${url})`;
    const limit =
      restriction === undefined ? '' : `: **${restriction.charAt(0).toLowerCase()}${restriction.slice(1)}**`;
    const download = f16 === other ? f16 : `${f16} with \`shader-f16\`, else ${other}`;
    return [
      `### ${known.name}`,
      `${known.goodAt}.`,
      [
        `- \`${asCode(known, exported)}\`, hashes ${hashes(known)}`,
        `- Download: ${download}. Licence: ${licence}${limit}.`,
        `- Engine: \`${known.engine}\` (\`${known.modelType}\`). Tried: ${TRIED[known.tried]}.`,
        ...(byTransformers.includes(known.modelType) ? [SCALED_BY_TRANSFORMERS] : []),
      ].join('\n'),
    ].join('\n\n');
  });
  return sections.join('\n\n');
}
