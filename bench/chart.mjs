/**
 * Draws how two times grow with the context, as an SVG that reads on light and dark pages.
 *
 * @typedef {{ tokens: number, firstMs: number, decodeMs: number }} Row
 */

const WIDTH = 640;
const HEIGHT = 240;
const MARGIN = { left: 56, right: 16, top: 36, bottom: 34 };
const PLOT = { width: (WIDTH - 48) / 2, height: HEIGHT };

/**
 * Two plots beside each other: seconds to the first token, milliseconds for each decoded one.
 *
 * @param {string} title
 * @param {readonly Row[]} rows
 */
export function chart(title, rows) {
  const first = rows.map(({ tokens, firstMs }) => ({ x: tokens, y: firstMs / 1000 }));
  const decode = rows.map(({ tokens, decodeMs }) => ({ x: tokens, y: decodeMs }));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT + 24}" role="img" aria-label="${title}">
<style>
  text { font: 12px system-ui, sans-serif; fill: #777 }
  path { fill: none; stroke: #777 }
  .line { stroke: #2f6fd0; stroke-width: 2 }
  circle { fill: #2f6fd0 }
</style>
<text x="0" y="14">${title}</text>
<g transform="translate(0 20)">${plot('s to the first token of a new prompt', first)}</g>
<g transform="translate(${PLOT.width + 48} 20)">${plot('ms for a decoded token', decode)}</g>
</svg>
`;
}

/**
 * @param {string} label
 * @param {readonly { x: number, y: number }[]} points
 */
function plot(label, points) {
  const width = PLOT.width - MARGIN.left - MARGIN.right;
  const height = PLOT.height - MARGIN.top - MARGIN.bottom;
  const [maxX, maxY] = [nice(Math.max(...points.map(({ x }) => x))), nice(Math.max(...points.map(({ y }) => y)))];
  /** @param {number} x */
  const atX = (x) => (MARGIN.left + (width * x) / maxX).toFixed(1);
  /** @param {number} y */
  const atY = (y) => (MARGIN.top + height - (height * y) / maxY).toFixed(1);
  const ticks = [0, 0.5, 1];
  return [
    `<text x="${MARGIN.left}" y="20">${label}</text>`,
    `<path d="M${atX(0)} ${atY(maxY)}V${atY(0)}H${atX(maxX)}"/>`,
    ...ticks.map(
      (part) => `<text x="${MARGIN.left - 6}" y="${atY(maxY * part)}" text-anchor="end">${short(maxY * part)}</text>`,
    ),
    ...ticks.map(
      (part) =>
        `<text x="${atX(maxX * part)}" y="${PLOT.height - 14}" text-anchor="middle">${short(maxX * part)}</text>`,
    ),
    `<path class="line" d="M${points.map(({ x, y }) => `${atX(x)} ${atY(y)}`).join('L')}"/>`,
    ...points.map(({ x, y }) => `<circle cx="${atX(x)}" cy="${atY(y)}" r="3"/>`),
  ].join('\n');
}

/** The next number of the series 1, 2, 5, 10, … @param {number} value */
function nice(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return unit * ([1, 2, 5, 10].find((factor) => factor * unit >= value) ?? 10);
}

/** @param {number} value */
function short(value) {
  return String(Number(value.toPrecision(2)));
}
