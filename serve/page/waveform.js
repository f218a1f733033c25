// The waveform: smallest and largest sample of each column.

import { number, t } from "./i18n.js";
import { frame, prepare, sideAxis, timeAxis } from "./plot.js";
import { colour } from "./theme.js";

/**
 * @param {HTMLCanvasElement} canvas
 * @param {{columns: number, seconds_per_column: number, min: Float32Array, max: Float32Array}} waveform
 * @param {number} duration of the axis, in seconds
 */
export function drawWaveform(canvas, waveform, duration) {
  const plot = prepare(canvas);
  if (!plot) return;
  const { context, left, top, width, height, ratio } = plot;
  const yOf = (sample) => top + ((1 - Math.max(-1, Math.min(1, sample))) / 2) * height;
  frame(plot);
  context.fillStyle = colour("--wave");
  const pixels = Math.round(width * ratio);
  const perPixel = duration / pixels / waveform.seconds_per_column;
  for (let pixel = 0; pixel < pixels; pixel += 1) {
    const first = Math.floor(pixel * perPixel);
    if (first >= waveform.columns) break;
    const last = Math.min(waveform.columns, Math.max(first + 1, Math.ceil((pixel + 1) * perPixel)));
    let [low, high] = [waveform.min[first], waveform.max[first]];
    for (let column = first + 1; column < last; column += 1) {
      low = Math.min(low, waveform.min[column]);
      high = Math.max(high, waveform.max[column]);
    }
    const y = yOf(high);
    context.fillRect(left + pixel / ratio, y, 1 / ratio, Math.max(1 / ratio, yOf(low) - y));
  }
  sideAxis(plot, [1, 0, -1].map((sample) => ({ at: yOf(sample), label: number(sample) })), t("waveform-axis"));
  timeAxis(plot, duration);
}
