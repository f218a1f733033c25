// What all plots share: sharp canvases, and axes with units.

import { clock, number, t } from "./i18n.js";
import { colour } from "./theme.js";

/** Margins of a plot for its axes, in CSS pixels. */
export const margins = (width) => ({ left: width < 520 ? 48 : 60, right: 10, top: 6, bottom: 20 });

/**
 * A plot, ready to be drawn on: cleared, and with one unit for each CSS pixel.
 * @typedef {{context: CanvasRenderingContext2D, ratio: number, left: number, top: number, width: number, height: number}} Plot
 * @param {HTMLCanvasElement} canvas
 * @returns {Plot | null} null while the canvas is not on the page
 */
export function prepare(canvas) {
  const { clientWidth, clientHeight } = canvas;
  const margin = margins(clientWidth);
  const [width, height] = [clientWidth - margin.left - margin.right, clientHeight - margin.top - margin.bottom];
  if (width <= 0 || height <= 0) return null;
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(clientWidth * ratio);
  canvas.height = Math.round(clientHeight * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.font = `11px ${getComputedStyle(canvas).fontFamily}`;
  return { context, ratio, left: margin.left, top: margin.top, width, height };
}

/** The first step of 1, 2, 5, 10, 15, 30 … seconds that leaves space for labels. */
function timeStep(duration, width) {
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600];
  return steps.find((step) => (step / duration) * width >= 60) ?? 1200;
}

/** The axis below a plot. */
export function timeAxis({ context, left, top, width, height }, duration, hasTitle = false) {
  context.fillStyle = context.strokeStyle = colour("--soft");
  context.lineWidth = 1;
  context.textAlign = "center";
  context.textBaseline = "top";
  const [step, bottom] = [timeStep(duration, width), top + height];
  const isLong = duration >= 100;
  const title = t(isLong ? "time-axis-minutes" : "time-axis");
  const limit = hasTitle ? left + width - context.measureText(title).width - 12 : left + width;
  for (let tick = 0; tick * step <= duration + 1e-9; tick += 1) {
    const x = left + ((tick * step) / duration) * width;
    context.beginPath();
    context.moveTo(crisp(x), bottom);
    context.lineTo(crisp(x), bottom + 4);
    context.stroke();
    const label = isLong ? clock(tick * step) : number(tick * step, 1);
    const half = context.measureText(label).width / 2;
    if (x + half <= limit || (!hasTitle && x - half < limit)) {
      context.fillText(label, Math.min(x, left + width + 8 - half), bottom + 6);
    }
  }
  if (hasTitle) {
    context.textAlign = "right";
    context.fillText(title, left + width, bottom + 6);
  }
}

/**
 * The axis beside a plot.
 * @param {Plot} plot
 * @param {{at: number, label: string}[]} ticks `at` in CSS pixels from the top of the canvas
 * @param {string} title the quantity or its unit, written along the axis
 */
export function sideAxis({ context, left, top, height }, ticks, title) {
  context.fillStyle = context.strokeStyle = colour("--soft");
  context.lineWidth = 1;
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const { at, label } of ticks) {
    context.beginPath();
    context.moveTo(left - 4, crisp(at));
    context.lineTo(left, crisp(at));
    context.stroke();
    context.fillText(label, left - 7, Math.min(Math.max(at, top + 4), top + height - 3));
  }
  context.save();
  context.translate(2, top + height / 2);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.textBaseline = "top";
  context.fillText(title, 0, 0);
  context.restore();
}

/** The line around a plot. */
export function frame({ context, left, top, width, height }) {
  context.strokeStyle = colour("--line");
  context.lineWidth = 1;
  context.strokeRect(crisp(left), crisp(top), Math.round(width) - 1, Math.round(height) - 1);
}

/** The middle of a pixel, where a line of one pixel is sharp. */
const crisp = (at) => Math.floor(at) + 0.5;
