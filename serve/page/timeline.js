// Genres over time: segments may overlap, and are averaged where they do.

import { genre, number, percent, t } from "./i18n.js";
import { genreColour, inkOn } from "./palette.js";
import { frame, prepare, sideAxis, timeAxis } from "./plot.js";
import { colour } from "./theme.js";

/** Height of the band of the most probable genre, in CSS pixels. */
const BAND = 22;

/**
 * The track in intervals that do not overlap.
 * @typedef {{start: number, end: number, best: string, probabilities: Record<string, number>}} Interval
 * @param {{start_seconds: number, end_seconds: number, probabilities: Record<string, number>}[]} segments
 * @returns {Interval[]} in the order of time; where no segment is, there is no interval
 */
export function intervals(segments) {
  const edges = segments.flatMap(({ start_seconds: start, end_seconds: end }) => [start, end]);
  const times = [...new Set(edges)].sort((a, b) => a - b);
  const found = [];
  for (let at = 0; at + 1 < times.length; at += 1) {
    const [start, end] = [times[at], times[at + 1]];
    const here = segments.filter((segment) => segment.start_seconds <= start && segment.end_seconds >= end);
    if (here.length === 0) continue;
    const labels = Object.keys(here[0].probabilities);
    const mean = (label) => here.reduce((sum, segment) => sum + segment.probabilities[label], 0) / here.length;
    const probabilities = Object.fromEntries(labels.map((label) => [label, mean(label)]));
    found.push({ start, end, best: mostProbable(probabilities), probabilities });
  }
  return found;
}

/** Of equals the first, as in the API. */
export const mostProbable = (probabilities) =>
  Object.keys(probabilities).reduce((best, label) => (probabilities[label] > probabilities[best] ? label : best));

/** Neighbours with the same most probable genre, joined. */
export function bands(found) {
  const joined = [];
  for (const { start, end, best } of found) {
    const last = joined.at(-1);
    if (last?.best === best && last.end === start) last.end = end;
    else joined.push({ start, end, best });
  }
  return joined;
}

/** The interval at a time; at the very end the last one. */
export const intervalAt = (found, seconds) =>
  found.find(({ start, end }) => seconds >= start && seconds < end) ?? (found.at(-1)?.end <= seconds ? found.at(-1) : null);

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Interval[]} found
 * @param {string[]} labels of all models, which give each its colour
 * @param {number} duration of the axis, in seconds
 * @param {boolean} isLast whether the axis gets its title
 */
export function drawTimeline(canvas, found, labels, duration, isLast) {
  const plot = prepare(canvas);
  if (!plot) return;
  const { context, left, top, width, height, ratio } = plot;
  // Whole pixels, so that neighbours leave no seam.
  const xOf = (seconds) => Math.round((left + (Math.min(seconds, duration) / duration) * width) * ratio) / ratio;
  const [floor, ceiling] = [top + height, top + BAND + 4];
  const yOf = (share) => floor - share * (floor - ceiling);
  const ground = colour("--card");

  for (const { start, end, probabilities } of found) {
    const [x, next] = [xOf(start), xOf(end)];
    let sum = 0;
    for (const [label, share] of Object.entries(probabilities)) {
      context.fillStyle = genreColour(labels, label);
      context.fillRect(x, yOf(sum + share), next - x, yOf(sum) - yOf(sum + share));
      if (share * (floor - ceiling) > 3) {
        context.fillStyle = ground;
        context.fillRect(x, yOf(sum + share), next - x, 1);
      }
      sum += share;
    }
    nameLayers(context, probabilities, labels, { x, width: next - x, yOf });
  }
  for (const { start, end, best } of bands(found)) {
    const [x, next] = [xOf(start), xOf(end)];
    context.fillStyle = genreColour(labels, best);
    context.fillRect(x, top, next - x, BAND);
    context.fillStyle = ground;
    if (next < left + width - 1) context.fillRect(next - 1, top, 1, height);
    name(context, genre(best), genreColour(labels, best), x + (next - x) / 2, top + BAND / 2, next - x - 6);
  }
  frame({ ...plot, top: ceiling, height: floor - ceiling });
  const shares = [0, 0.5, 1].map((share) => ({ at: yOf(share), label: number(100 * share) }));
  sideAxis({ ...plot, top: ceiling, height: floor - ceiling }, shares, `${t("timeline-axis")}, %`);
  timeAxis(plot, duration, isLast);
}

/** Names in the layers that are high enough. */
function nameLayers(context, probabilities, labels, { x, width, yOf }) {
  let sum = 0;
  for (const [label, share] of Object.entries(probabilities)) {
    const middle = yOf(sum + share / 2);
    if (yOf(sum) - yOf(sum + share) >= 13) {
      name(context, `${genre(label)} ${percent(share)}`, genreColour(labels, label), x + width / 2, middle, width - 6);
    }
    sum += share;
  }
}

function name(context, text, ground, x, y, width) {
  if (context.measureText(text).width > width) return;
  context.fillStyle = inkOn(ground);
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(text, x, y + 0.5);
}
