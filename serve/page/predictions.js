// The predictions of the models, side by side.

import { byId, make } from "./dom.js";
import { current, genre, percent, t } from "./i18n.js";
import { MODELS } from "./models.js";
import { genreColour } from "./palette.js";
import { explain } from "./problems.js";
import { canRetry, tracks } from "./tracks.js";
import { isDark } from "./theme.js";
import { mostProbable } from "./timeline.js";

/** The labels of all models with a prediction, in the models' own order. */
export function labelsOf(track) {
  const named = MODELS.flatMap(({ name }) => Object.keys(track.requests[name].value?.probabilities ?? {}));
  return [...new Set(named)];
}

/** Names of the models whose predictions are shown. */
const shown = () => MODELS.map(({ name }) => name).filter((name) => tracks.selected.includes(name));

/** A sentence that compares the predictions, or nothing while there are none. */
export function summary(track) {
  const done = shown().filter((name) => track.requests[name].state === "done");
  const predicted = done.map((name) => track.requests[name].value.predicted_genre);
  if (done.length === 0) return "";
  if (done.length === 1) {
    const share = track.requests[done[0]].value.probabilities[predicted[0]];
    return t("one-predicts", { model: t(`model-${done[0]}`), genre: genre(predicted[0]), percent: percent(share) });
  }
  if (predicted[0] === predicted[1]) return t("agree", { genre: genre(predicted[0]) });
  return t("disagree", { svm: genre(predicted[0]), vgg19: genre(predicted[1]) });
}

let drawn = "";
/** Which `details` are open, by model: they stay so when a card is redrawn. */
const isOpen = { svm: false, vgg19: false };

/** @param {import("./tracks.js").Track} track */
export function drawPredictions(track) {
  const names = shown();
  const signature = JSON.stringify([track.id, current(), isDark(), names.map((name) => {
    const { state, seconds, attempts } = track.requests[name];
    return [name, state, seconds, attempts];
  })]);
  if (signature === drawn) return;
  drawn = signature;
  const labels = ordered(track, names);
  byId("predictions").replaceChildren(...names.map((name) => card(track, name, labels)));
}

/** The labels by the sum of their probabilities, so that the bars of both models are in the same order. */
function ordered(track, names) {
  const values = names.map((name) => track.requests[name].value).filter(Boolean);
  const sum = (label) => values.reduce((total, { probabilities }) => total + (probabilities[label] ?? 0), 0);
  return labelsOf(track).sort((a, b) => sum(b) - sum(a));
}

function card(track, name, labels) {
  const entry = track.requests[name];
  const head = make("header", {}, make("h3", {}, t(`model-${name}`)), make("p", { class: "soft" }, t(`about-${name}`)));
  const box = make("article", { class: "card prediction", "data-testid": `prediction-${name}`, "data-state": entry.state }, head);
  if (entry.state === "done") box.append(...prediction(track, name, labels));
  else if (entry.state === "failed") box.append(explain(entry.problem), retryButton(track));
  else if (entry.state === "cancelled") box.append(make("p", {}, t("cancelled")), retryButton(track));
  else {
    const words = { down: "down-wait", retrying: "retrying", waiting: "waiting" }[entry.state] ?? "running";
    box.append(make("p", { class: entry.state === "down" ? "" : "pending" }, t(words, { seconds: entry.seconds })));
  }
  return box;
}

/** Repeats what failed or was cancelled of a track. */
export const retryButton = (track) =>
  make("button", { type: "button", class: "quiet", "data-testid": "retry", onclick: () => tracks.retry(track) }, t("retry"));

function prediction(track, name, labels) {
  const { probabilities, model, features_digest: digest } = track.requests[name].value;
  const best = mostProbable(probabilities);
  const all = labelsOf(track);
  const bars = labels.filter((label) => label in probabilities).map((label) => {
    const fill = make("span", { class: "fill" });
    fill.style.width = `${100 * probabilities[label]}%`;
    fill.style.backgroundColor = genreColour(all, label);
    return make("li", { "data-genre": label, class: label === best ? "best" : "" },
      make("span", { class: "name" }, genre(label)),
      make("span", { class: "rail", "aria-hidden": "true" }, fill),
      make("span", { class: "value" }, percent(probabilities[label])));
  });
  const row = (key, value) => [make("dt", {}, t(key)), make("dd", {}, make("code", {}, value))];
  const details = make("details", { open: isOpen[name], ontoggle: (event) => (isOpen[name] = event.target.open) },
    make("summary", {}, t("details")),
    make("dl", {}, ...row("detail-model", model.name), ...row("detail-version", model.version),
      ...row("detail-digest", digest), ...row("detail-fingerprint", model.fingerprint)));
  return [
    make("p", { class: "predicted" },
      make("strong", { "data-testid": `genre-${name}`, "data-genre": best }, genre(best)),
      make("span", { class: "soft" }, percent(probabilities[best]))),
    make("ol", { class: "bars", "aria-label": t("probability-of", { model: t(`model-${name}`) }), "data-testid": `bars-${name}` }, ...bars),
    make("p", { class: "version soft" }, `${model.name} `, make("code", {}, model.version)),
    details,
  ];
}

/**
 * The problem that all requests about the track have, if it is the same: it is the track's, and is shown once.
 * @param {import("./tracks.js").Track} track
 */
export function sharedProblem(track) {
  const sent = [track.requests.features, ...shown().map((name) => track.requests[name])].filter(({ state }) => state !== "idle");
  const failed = sent.filter((entry) => canRetry(entry) && entry.problem);
  const [first] = failed;
  const isShared = first && failed.length === sent.length && failed.every(({ problem }) => problem.slug === first.problem.slug);
  return isShared ? first.problem : null;
}
