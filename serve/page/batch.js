// Which tracks of a list are shown, in which order, and how many there are of each label.

import { matches, predicted } from "./labels.js";

/**
 * `column` is `file`, `length`, `state`, or `model:` and the name of a model; `""` is the order in which the tracks were added.
 * `label` is that of a chosen count: of the model `model`, and `null` for tracks without a prediction.
 * @typedef {{column: string, isFalling: boolean, query: string, chosen: {model: string, label: string | null} | null}} View
 */

/** The column of a model. */
export const columnOf = (name) => `model:${name}`;

const nothing = Object.freeze({ column: "", isFalling: false, query: "", chosen: null });

/** All tracks in the order in which they were added. @returns {View} */
export const wholeList = () => ({ ...nothing });

/** What a model predicts of a track, or nothing. */
function predictionOf(track, name) {
  const { value } = track.prediction(name);
  return value ? predicted(value) : null;
}

/** The name, artist and title of a track, and its labels: what a search looks through. */
function textsOf(track, names, show) {
  const { artist, title, album } = track.audio?.tags ?? {};
  const labels = names.map((name) => predictionOf(track, name)?.label).filter(Boolean);
  return [track.name, artist, title, album, ...labels.flatMap((label) => [label, show(label)])].filter(Boolean);
}

/**
 * The tracks that are shown.
 * @param {any[]} list
 * @param {View} view
 * @param {{names: string[], show: (label: string) => string, state: (track: any) => string}} about the models with a column, how a label
 *   is shown, and the state of a track
 */
export function shownOf(list, { column, isFalling, query, chosen }, { names, show, state }) {
  const text = query.trim();
  const found = list.filter((track) =>
    (!chosen || (predictionOf(track, chosen.model)?.label ?? null) === chosen.label)
    && (!text || matches(text, ...textsOf(track, names, show))));
  if (!column) return isFalling ? found.reverse() : found;
  const model = names.find((name) => column === columnOf(name));
  const keys = new Map(found.map((track) => [track, keyOf(track, column, model, show, state)]));
  const order = new Intl.Collator(undefined, { numeric: true }).compare;
  const compare = ([a, x], [b, y]) => {
    // What has no value comes last in both directions.
    if (a === null || b === null) return Number(a === null) - Number(b === null);
    const by = typeof a === "number" ? a - b : order(a, b);
    return (isFalling ? -by : by) || y - x;
  };
  // The sort is stable: of equals, those that were added first.
  return found.sort((a, b) => compare(keys.get(a), keys.get(b)));
}

/** What a track is sorted by, and of equals by a number that falls. */
function keyOf(track, column, model, show, state) {
  if (column === "file") return [track.name, 0];
  if (column === "length") return [track.seconds || null, 0];
  if (column === "state") return [state(track), 0];
  const found = model ? predictionOf(track, model) : null;
  return found ? [show(found.label), found.share] : [null, 0];
}

/**
 * How many tracks a model gives each label, the most frequent first, and last those without a prediction.
 * @returns {{label: string | null, n: number}[]}
 */
export function countsOf(list, name) {
  const counts = new Map();
  for (const track of list) {
    const label = predictionOf(track, name)?.label ?? null;
    counts.set(label, (counts.get(label) ?? 0) + 1);
  }
  const missing = counts.get(null);
  counts.delete(null);
  const sorted = [...counts].sort(([, a], [, b]) => b - a).map(([label, n]) => ({ label, n }));
  return missing ? [...sorted, { label: null, n: missing }] : sorted;
}
