/**
 * Draws how times grow, as an SVG that reads on light and dark pages.
 *
 * @typedef {{ x: number, y: number }} XY
 * @typedef {{ name: string, points: readonly XY[] }} Line
 * @typedef {{ label: string, axis: string, lines: readonly Line[] }} Plot `label`: what y is; `axis`: what x is
 */

const PLOT = { width: 320, height: 200 };
const MARGIN = { left: 48, right: 16, top: 32, bottom: 36 };
const COLUMNS = 2;
/** Above the plots: title, names of the lines. */
const HEAD = 48;
/** On white and on black. */
const COLOURS = ['#3b82d6', '#d9772b', '#3a9a5b', '#a56bd0'];

/**
 * Plots beside each other, two in a row. A line has the same colour in each.
 *
 * @param {string} title
 * @param {readonly Plot[]} plots
 */
export function chart(title, plots) {
  const shown = plots.filter(({ lines }) => lines.some(({ points }) => points.length > 0));
  const names = [...new Set(shown.flatMap(({ lines }) => lines.map(({ name }) => name)))];
  const colours = new Map(names.map((name, index) => [name, COLOURS[index % COLOURS.length] ?? '']));
  const width = COLUMNS * PLOT.width;
  const height = HEAD + Math.ceil(shown.length / COLUMNS) * PLOT.height;
  const legend = names.map((name, index) => {
    const x = index * 150;
    return `<circle cx="${x + 6}" cy="30" r="4" fill="${colours.get(name)}"/><text x="${x + 16}" y="34">${name}</text>`;
  });
  const groups = shown.map((plot, index) => {
    const at = `${(index % COLUMNS) * PLOT.width} ${HEAD + Math.floor(index / COLUMNS) * PLOT.height}`;
    return `<g transform="translate(${at})">\n${draw(plot, colours)}\n</g>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${title}">
<style>
  text { font: 12px system-ui, sans-serif; fill: #808080 }
  path { fill: none; stroke-width: 2 }
  .axis { stroke: #808080; stroke-width: 1 }
</style>
<text x="0" y="14">${title}</text>
${legend.join('\n')}
${groups.join('\n')}
</svg>
`;
}

/**
 * @param {Plot} plot
 * @param {ReadonlyMap<string, string>} colours
 */
function draw({ label, axis, lines }, colours) {
  const width = PLOT.width - MARGIN.left - MARGIN.right;
  const height = PLOT.height - MARGIN.top - MARGIN.bottom;
  const all = lines.flatMap(({ points }) => points);
  const [maxX, maxY] = [nice(Math.max(...all.map(({ x }) => x))), nice(Math.max(...all.map(({ y }) => y)))];
  /** @param {number} x */
  const atX = (x) => (MARGIN.left + (width * x) / maxX).toFixed(1);
  /** @param {number} y */
  const atY = (y) => (MARGIN.top + height - (height * y) / maxY).toFixed(1);
  const ticks = [0, 0.5, 1];
  return [
    `<text x="0" y="18">${label}</text>`,
    `<path class="axis" d="M${atX(0)} ${atY(maxY)}V${atY(0)}H${atX(maxX)}"/>`,
    ...ticks.map(
      (part) => `<text x="${MARGIN.left - 6}" y="${atY(maxY * part)}" text-anchor="end">${short(maxY * part)}</text>`,
    ),
    ...ticks.map((part) => {
      const text = part === 1 ? `${short(maxX)} ${axis}` : short(maxX * part);
      return `<text x="${atX(maxX * part)}" y="${PLOT.height - 18}" text-anchor="${part === 1 ? 'end' : 'middle'}">${text}</text>`;
    }),
    ...lines
      .filter(({ points }) => points.length > 0)
      .flatMap(({ name, points }) => [
        `<path stroke="${colours.get(name)}" d="M${points.map(({ x, y }) => `${atX(x)} ${atY(y)}`).join('L')}"/>`,
        ...points.map(({ x, y }) => `<circle cx="${atX(x)}" cy="${atY(y)}" r="3" fill="${colours.get(name)}"/>`),
      ]),
  ].join('\n');
}

/** The next round number. @param {number} value */
function nice(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return unit * ([1, 2, 4, 5, 8, 10].find((factor) => factor * unit >= value) ?? 10);
}

/** @param {number} value */
function short(value) {
  return String(Number(value.toPrecision(2)));
}
