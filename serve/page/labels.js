// Labels and their probabilities, whatever labels a model has: 2 or 1,000, in any script.

/** Up to so many labels are all shown at once. */
export const ALL_SHOWN = 12;
/** Of more, so many are shown first: the most probable ones. */
export const SHOWN_FIRST = 10;
/** Of more than so many, one can be searched for. */
export const UNSEARCHED = 20;

/** GTZAN's labels, which come first where a model has them, so that they have the same colours beside any other model. */
const GTZAN = ["blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock"];

/** Whether these labels are GTZAN's, which are genres of music; other labels may be anything. @param {string[]} labels */
export const areGenres = (labels) => labels.length === GTZAN.length && GTZAN.every((label) => labels.includes(label));

/** @type {Map<string, number>} the labels of all models, each with its index, which gives it its colour */
const indices = new Map();

/** Gives each of these labels an index, unless it has one. Indices never change while the page is open. */
export function register(labels) {
  for (const label of labels) if (!indices.has(label)) indices.set(label, indices.size);
}

/** Registers the labels of several models: first GTZAN's, then in the order of the models. */
export function registerAll(sets) {
  if (sets.some(areGenres)) register(GTZAN);
  sets.forEach(register);
}

/** The index of a label among those of all models. */
export function indexOf(label) {
  register([label]);
  return /** @type {number} */ (indices.get(label));
}

/**
 * A prediction: `values` are the probabilities of `labels`, of the track and of each segment.
 * @typedef {{start: number, end: number, values: Float64Array}} Segment in seconds
 * @typedef {{labels: string[], values: Float64Array, segments: Segment[], model: any, audio: any, features_digest: string,
 *   labels_90?: string[], novelty?: {out_of_distribution: boolean, signal: string} | null}} Prediction
 *
 * @param {any} response of `POST /predict`
 * @param {string[]} known the labels of the model in its own order, which an object of JSON does not keep where a label is a number
 * @returns {Prediction}
 */
export function readPrediction({ probabilities, segments, ...rest }, known = []) {
  const names = Object.keys(probabilities);
  const there = new Set(names);
  const labels = known.length === names.length && known.every((label) => there.has(label)) ? known : names;
  register(labels);
  const read = (of) => Float64Array.from(labels, (label) => of[label] ?? 0);
  return {
    ...rest,
    labels,
    values: read(probabilities),
    segments: segments.map(({ start_seconds: start, end_seconds: end, probabilities: of }) => ({ start, end, values: read(of) })),
  };
}

/** Index of the largest value; of equals the first, as in the API. */
export const best = (values) => values.reduce((found, value, at) => (value > values[found] ? at : found), 0);

/** Indices by falling value; of equals the first comes first. */
export const ranked = (values) => [...values.keys()].sort((a, b) => values[b] - values[a] || a - b);

/** The predicted label of a prediction, and its probability. */
export function predicted({ labels, values }) {
  const at = best(values);
  return { label: labels[at], share: values[at] };
}

/** A text as it is compared in a search: without case and accents. */
const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLocaleLowerCase();

/** Whether one of the texts contains the query. */
export const matches = (query, ...texts) => texts.some((text) => plain(text).includes(plain(query)));
