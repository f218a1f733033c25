// The log-mel spectrogram, and VGG19's Grad-CAM map over it.

import { number, t } from "./i18n.js";
import { GREY, INFERNO, MAGMA } from "./palette.js";
import { frame, prepare, sideAxis, timeAxis } from "./plot.js";

/** Dynamic range that is shown, in dB below the maximum. */
const RANGE = 80;
/** How the opacity of the map rises with the weight: slowly at first, so that the spectrogram shows below small weights. */
const OPACITY_EXPONENT = 1.5;
const TICKS = [60, 125, 250, 500, 1000, 2000, 4000, 8000, 16000];

/**
 * @typedef {{rows: number, columns: number, seconds_per_column: number, row_hz: number[], values: Float32Array}} LogMel
 * @typedef {{rows: number, columns: number, seconds_per_column: number, row_edges_hz: number[], values: Float32Array}} Explanation
 */

/**
 * The largest value, and the smallest that is shown, in dB.
 * @param {LogMel} logMel
 */
export function loudness({ values }) {
  let high = -Infinity;
  for (const value of values) if (value > high) high = value;
  return { low: high - RANGE, high };
}

/**
 * The row of a frequency: 0 is the centre of the lowest. Rows are equally far apart in mel, so that it is a position on
 * the axis too; beyond the outermost centres it is extrapolated.
 * @param {number[]} rowHz rising
 * @param {number} hz
 */
function rowOf(rowHz, hz) {
  let above = rowHz.findIndex((centre) => centre >= hz);
  if (above < 0) above = rowHz.length - 1;
  const high = Math.max(1, above);
  const row = high - 1 + (hz - rowHz[high - 1]) / (rowHz[high] - rowHz[high - 1]);
  return Math.max(-0.5, Math.min(rowHz.length - 0.5, row));
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {LogMel} logMel
 * @param {number} duration of the axis, in seconds
 * @param {boolean} isGrey under a map in colour
 */
export function drawLogMel(canvas, logMel, duration, isGrey) {
  const plot = prepare(canvas);
  if (!plot) return;
  const { context, left, top, width, height, ratio } = plot;
  const pixels = Math.max(1, Math.round(width * ratio));
  context.imageSmoothingEnabled = false;
  context.drawImage(logMelImage(logMel, pixels, duration, isGrey ? GREY : MAGMA), left, top, width, height);
  frame(plot);
  const ticks = TICKS.map((hz) => ({ hz, at: top + height * (1 - (rowOf(logMel.row_hz, hz) + 0.5) / logMel.rows) }));
  const shown = ticks.filter(({ hz }) => hz >= logMel.row_hz[0] && hz <= logMel.row_hz[logMel.rows - 1]);
  const spaced = shown.reduce((ticks, tick) => (ticks.length > 0 && ticks.at(-1).at - tick.at < 12 ? ticks : [...ticks, tick]), []);
  sideAxis(plot, spaced.map(({ hz, at }) => ({ at, label: number(hz) })), "Hz");
  timeAxis(plot, duration);
}

/** An image with a row for each row, and a column for each pixel: the mean of the columns in it. */
function logMelImage({ rows, columns, seconds_per_column: hop, values }, pixels, duration, table) {
  const { low, high } = loudness({ values });
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [pixels, rows];
  const context = canvas.getContext("2d");
  const image = context.createImageData(pixels, rows);
  const perPixel = duration / pixels / hop;
  for (let pixel = 0; pixel < pixels; pixel += 1) {
    const first = Math.min(columns - 1, Math.floor(pixel * perPixel));
    const last = Math.min(columns, Math.max(first + 1, Math.floor((pixel + 1) * perPixel)));
    for (let row = 0; row < rows; row += 1) {
      let sum = 0;
      for (let column = first; column < last; column += 1) sum += values[row * columns + column];
      const level = Math.round((255 * (sum / (last - first) - low)) / (high - low || 1));
      const colour = 3 * Math.max(0, Math.min(255, level));
      const at = 4 * ((rows - 1 - row) * pixels + pixel);
      image.data[at] = table[colour];
      image.data[at + 1] = table[colour + 1];
      image.data[at + 2] = table[colour + 2];
      image.data[at + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/**
 * Draws the map over a spectrogram of the same size: colour and opacity rise with the weight, as in the legend.
 * @param {HTMLCanvasElement} canvas
 * @param {Explanation} map
 * @param {LogMel} logMel whose rows are the axis
 * @param {number} duration of the axis, in seconds
 */
export function drawExplanation(canvas, map, logMel, duration) {
  const plot = prepare(canvas);
  if (!plot) return;
  const { context, left, top, width, height } = plot;
  const small = document.createElement("canvas");
  [small.width, small.height] = [map.columns, logMel.rows];
  const image = small.getContext("2d").createImageData(map.columns, logMel.rows);
  const edges = map.row_edges_hz.map((hz) => rowOf(logMel.row_hz, hz));
  const centres = edges.slice(1).map((edge, row) => (edge + edges[row]) / 2);
  for (let row = 0; row < logMel.rows; row += 1) {
    const [below, above, share] = between(centres, row);
    for (let column = 0; column < map.columns; column += 1) {
      const low = map.values[below * map.columns + column];
      const weight = low + share * (map.values[above * map.columns + column] - low);
      const level = Math.round(255 * Math.max(0, Math.min(1, weight)));
      const at = 4 * ((logMel.rows - 1 - row) * map.columns + column);
      image.data.set(INFERNO.subarray(3 * level, 3 * level + 3), at);
      image.data[at + 3] = 255 * (level / 255) ** OPACITY_EXPONENT;
    }
  }
  small.getContext("2d").putImageData(image, 0, 0);
  context.save();
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.drawImage(small, left, top, (width * map.columns * map.seconds_per_column) / duration, height);
  context.restore();
}

/** The two rising `centres` that `at` lies between, and how far it is on its way from the first to the second. */
function between(centres, at) {
  const last = centres.length - 1;
  if (at <= centres[0]) return [0, 0, 0];
  if (at >= centres[last]) return [last, last, 0];
  const above = centres.findIndex((centre) => centre >= at);
  return [above - 1, above, (at - centres[above - 1]) / (centres[above] - centres[above - 1])];
}

/**
 * Where the map is strongest, or nothing where it is 0 throughout.
 * @param {Explanation} map
 * @returns {{seconds: number, hz: number} | null} the middle of that cell
 */
export function peak({ rows, columns, seconds_per_column: hop, row_edges_hz: edges, values }) {
  let best = 0;
  for (let at = 1; at < rows * columns; at += 1) if (values[at] > values[best]) best = at;
  if (!(values[best] > 0)) return null;
  const row = Math.floor(best / columns);
  return { seconds: ((best % columns) + 0.5) * hop, hz: (edges[row] + edges[row + 1]) / 2 };
}
