// What is kept when the page is reloaded, in this tab: the list of tracks with their results. Neither the audio nor its log-mel and waveform.

import { Problem } from "./api.js";
import { register } from "./labels.js";

const KEY = "tonearm-tracks";
/** Probabilities of segments are stored with so many decimals. */
const DECIMALS = 4;

/** Kind of the problem of what was under way when the page was reloaded, or is requested of a track without its audio. */
export const notKept = "not-kept";

/**
 * Stores the list, as far as the browser stores so much.
 * @param {{list: any[], open: any, selected: string[], isChosen: boolean}} tracks
 */
export function store({ list, open, selected, isChosen }) {
  if (list.length === 0) return void put(null);
  const whole = { selected: isChosen ? selected : null, open: list.indexOf(open), list: list.map(packTrack), lost: null };
  // Half of a list would look like the whole.
  if (put(whole)) return;
  put(null); // what is there takes up space
  put({ ...whole, list: whole.list.map(withoutSegments), lost: "segments" }) || put({ list: [], selected: null, lost: "all" });
}

/** Whether it was stored. */
function put(value) {
  try {
    if (value) sessionStorage.setItem(KEY, JSON.stringify(value));
    else sessionStorage.removeItem(KEY);
    return true;
  } catch {
    return false;
  }
}

const packTrack = ({ source, isExample, predictions }) => ({
  source,
  isExample,
  predictions: [...predictions].filter(([, { state }]) => state !== "idle").map(([name, entry]) => [name, packEntry(entry)]),
});

function packEntry({ state, value, problem }) {
  if (state === "done") return { value: packPrediction(value) };
  if (state !== "failed") return {};
  const { slug, status, detail, size, limits } = problem;
  return { problem: { slug, status, detail, size, limits } };
}

const packPrediction = ({ values, segments, ...rest }) => ({
  ...rest,
  values: [...values],
  segments: segments.map(({ start, end, values: of }) => [start, end, [...of].map((share) => Number(share.toFixed(DECIMALS)))]),
});

const withoutSegments = ({ predictions, ...rest }) => ({
  ...rest,
  predictions: predictions.map(([name, { value, ...more }]) => [name, value ? { value: { ...value, segments: [] } } : more]),
});

/**
 * What was stored, and nothing where that is none or cannot be read.
 * @param {(file: any, isExample: boolean) => any} newTrack
 * @param {(more: object) => any} newRequest
 * @returns {{list: any[], open: any, selected: string[] | null, lost: "segments" | "all" | null}} `lost` is what was too much
 */
export function restore(newTrack, newRequest) {
  const nothing = { list: [], open: null, selected: null, lost: null };
  try {
    const stored = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
    if (!stored) return nothing;
    const list = stored.list.map(({ source, isExample, predictions }) => {
      const track = newTrack(source, isExample);
      for (const [name, entry] of predictions) track.predictions.set(name, newRequest(unpackEntry(entry)));
      return track;
    });
    return { list, open: list[stored.open] ?? null, selected: stored.selected, lost: stored.lost };
  } catch {
    return nothing; // of another version of the page, or storage is forbidden
  }
}

function unpackEntry({ value, problem }) {
  if (value) return { state: "done", value: unpackPrediction(value) };
  const { size, limits, ...kind } = problem ?? { slug: notKept, status: 410, size: 0, limits: null };
  // JSON has no infinity, which stands for a limit that is not known.
  const known = limits && { bytes: limits.bytes ?? Infinity, seconds: limits.seconds ?? Infinity };
  return { state: "failed", problem: new Problem(kind).about(size, known) };
}

function unpackPrediction({ values, segments, ...rest }) {
  register(rest.labels);
  return {
    ...rest,
    values: Float64Array.from(values),
    segments: segments.map(([start, end, of]) => ({ start, end, values: Float64Array.from(of) })),
  };
}
