// Labels over time: segments may overlap, and are averaged where they do.

import { cut, genre, number, percent, t } from "./i18n.js";
import { ALL_SHOWN, SHOWN_FIRST, best as indexOfBest, ranked } from "./labels.js";
import { inkOn, labelColour } from "./palette.js";
import { frame, prepare, sideAxis, timeAxis } from "./plot.js";
import { colour } from "./theme.js";

/** Height of the band of the most probable label, in CSS pixels. */
const BAND = 22;
/** Names of more characters are cut where there is no space for them; others are left out there. */
const CUT = 14;
/** The fewest characters that are left of a name. */
const LEAST = 4;

/** @type {WeakMap<object, Interval[]>} by the segments that they were made of */
const made = new WeakMap();

/**
 * The track in intervals that do not overlap; `best` is the index of the most probable label.
 * @typedef {{start: number, end: number, best: number, values: Float64Array}} Interval
 * @param {import("./labels.js").Segment[]} segments
 * @returns {Interval[]} in the order of time; where no segment is, there is no interval
 */
export function intervals(segments) {
  const known = made.get(segments);
  if (known) return known;
  const times = [...new Set(segments.flatMap(({ start, end }) => [start, end]))].sort((a, b) => a - b);
  const found = [];
  for (let at = 0; at + 1 < times.length; at += 1) {
    const [start, end] = [times[at], times[at + 1]];
    const here = segments.filter((segment) => segment.start <= start && segment.end >= end);
    if (here.length === 0) continue;
    const values = here[0].values.map((_, label) => here.reduce((sum, segment) => sum + segment.values[label], 0) / here.length);
    found.push({ start, end, best: indexOfBest(values), values });
  }
  made.set(segments, found);
  return found;
}

/** Neighbours with the same most probable label, joined. */
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
 * Indices of the labels that have a layer of their own in the plot, from the bottom: all of few, in the order of the model; of many
 * those that are the most probable ones for the longest time, then those of the largest probability.
 * @param {Interval[]} found
 * @param {number} count of labels
 * @param {boolean} hasAll whether many labels have all their layers too
 */
export function layers(found, count, hasAll) {
  if (count <= ALL_SHOWN) return Array.from({ length: count }, (_, at) => at);
  const [leads, shares] = [new Float64Array(count), new Float64Array(count)];
  let length = 0;
  for (const { start, end, best, values } of found) {
    leads[best] += end - start;
    length += end - start;
    values.forEach((value, at) => (shares[at] += (end - start) * value));
  }
  // A second in the lead counts for more than all that a label has elsewhere.
  const order = ranked(shares.map((share, at) => share + (1 + length) * leads[at]));
  return hasAll ? order : order.slice(0, SHOWN_FIRST);
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Interval[]} found
 * @param {string[]} labels of the model
 * @param {number[]} shown as `layers` gives them; the others are one layer on top
 * @param {number} duration of the axis, in seconds
 * @param {boolean} isLast whether the axis gets its title
 */
export function drawTimeline(canvas, found, labels, shown, duration, isLast) {
  const plot = prepare(canvas);
  if (!plot) return;
  const { context, left, top, width, height, ratio } = plot;
  // Whole pixels, so that neighbours leave no seam.
  const xOf = (seconds) => Math.round((left + (Math.min(seconds, duration) / duration) * width) * ratio) / ratio;
  const [floor, ceiling] = [top + height, top + BAND + 4];
  const yOf = (share) => floor - share * (floor - ceiling);
  const ground = colour("--card");

  for (const { start, end, values } of found) {
    const [x, next] = [xOf(start), xOf(end)];
    const stack = stackOf(values, labels, shown);
    for (const { fill, from, to } of stack) {
      if (to === from) continue;
      context.fillStyle = fill;
      context.fillRect(x, yOf(to), next - x, yOf(from) - yOf(to));
      if ((to - from) * (floor - ceiling) > 3) {
        context.fillStyle = ground;
        context.fillRect(x, yOf(to), next - x, 1);
      }
    }
    for (const { at, fill, from, to } of stack) {
      if (yOf(from) - yOf(to) < 13) continue;
      const text = at === null ? t("labels-other", { n: number(labels.length - shown.length) }) : genre(labels[at]);
      name(context, text, ` ${percent(to - from)}`, fill, x + (next - x) / 2, yOf((from + to) / 2), next - x - 6);
    }
  }
  for (const { start, end, best } of bands(found)) {
    const [x, next, fill] = [xOf(start), xOf(end), labelColour(labels[best])];
    context.fillStyle = fill;
    context.fillRect(x, top, next - x, BAND);
    context.fillStyle = ground;
    if (next < left + width - 1) context.fillRect(next - 1, top, 1, height);
    name(context, genre(labels[best]), "", fill, x + (next - x) / 2, top + BAND / 2, next - x - 6);
  }
  frame({ ...plot, top: ceiling, height: floor - ceiling });
  const shares = [0, 0.5, 1].map((share) => ({ at: yOf(share), label: number(100 * share) }));
  sideAxis({ ...plot, top: ceiling, height: floor - ceiling }, shares, `${t("timeline-axis")}, %`);
  timeAxis(plot, duration, isLast);
}

/** The colour of the layer of all labels that have none of their own. */
export const othersColour = () => colour("--edge");

/** The layers of an interval, from the bottom: `at` is the index of a label, or `null` of the others together. */
function stackOf(values, labels, shown) {
  let sum = 0;
  const stack = shown.map((at) => {
    const from = sum;
    sum += values[at];
    return { at, fill: labelColour(labels[at]), from, to: sum };
  });
  if (labels.length > shown.length && sum < 1) stack.push({ at: null, fill: othersColour(), from: sum, to: 1 });
  return stack;
}

/** Writes a name in the middle of a place, if it fits there; a long one is cut. */
function name(context, text, after, ground, x, y, width) {
  const fitted = fit(context, text, after, width);
  if (fitted === null) return;
  context.fillStyle = inkOn(ground);
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(fitted, x, y + 0.5);
}

function fit(context, text, after, width) {
  const fits = (short) => context.measureText(short + after).width <= width;
  if (fits(text)) return text + after;
  let length = Math.min(text.length, 60);
  if (text.length <= CUT) return null;
  while (length >= LEAST) {
    const short = cut(text, length);
    if (fits(short)) return short + after;
    length -= 2;
  }
  return null;
}
