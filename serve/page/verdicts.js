// What each model says of the song, side by side.

import { byId, make } from "./dom.js";
import { current, genre, percent, t } from "./i18n.js";
import { MODELS } from "./models.js";
import { genreColour } from "./palette.js";
import { explain } from "./problems.js";
import { isLost, songs } from "./songs.js";
import { isDark } from "./theme.js";
import { mostProbable } from "./timeline.js";

/** The labels of all models that answered, in the models' own order. */
export function labelsOf(song) {
  const named = MODELS.flatMap(({ name }) => Object.keys(song.asks[name].value?.probabilities ?? {}));
  return [...new Set(named)];
}

/** Names of the models whose answers are to be seen. */
const shown = () => MODELS.map(({ name }) => name).filter((name) => songs.wanted.includes(name));

/** A sentence on what they hear, or nothing while none has answered. */
export function summary(song) {
  const done = shown().filter((name) => song.asks[name].state === "done");
  const heard = done.map((name) => song.asks[name].value.predicted_genre);
  if (done.length === 0) return "";
  if (done.length === 1) {
    const share = song.asks[done[0]].value.probabilities[heard[0]];
    return t("one-says", { model: t(`model-${done[0]}`), genre: genre(heard[0]), percent: percent(share) });
  }
  if (heard[0] === heard[1]) return t("agree", { genre: genre(heard[0]) });
  return t("disagree", { svm: genre(heard[0]), vgg19: genre(heard[1]) });
}

let drawn = "";
/** Which `details` are open, by model: they stay so when a card is made anew. */
const isOpen = { svm: false, vgg19: false };

/** @param {import("./songs.js").Song} song */
export function drawVerdicts(song) {
  const names = shown();
  const signature = JSON.stringify([song.id, current(), isDark(), names.map((name) => {
    const { state, seconds, calls } = song.asks[name];
    return [name, state, seconds, calls];
  })]);
  if (signature === drawn) return;
  drawn = signature;
  const labels = ordered(song, names);
  byId("verdicts").replaceChildren(...names.map((name) => card(song, name, labels)));
}

/** The labels by what the models give them together, so that the bars of both stand in the same order. */
function ordered(song, names) {
  const answers = names.map((name) => song.asks[name].value).filter(Boolean);
  const sum = (label) => answers.reduce((total, { probabilities }) => total + (probabilities[label] ?? 0), 0);
  return labelsOf(song).sort((a, b) => sum(b) - sum(a));
}

function card(song, name, labels) {
  const entry = song.asks[name];
  const head = make("header", {}, make("h3", {}, t(`model-${name}`)), make("p", { class: "soft" }, t(`about-${name}`)));
  const box = make("article", { class: "card verdict", "data-testid": `verdict-${name}`, "data-state": entry.state }, head);
  if (entry.state === "done") box.append(...answer(song, name, labels));
  else if (entry.state === "failed") box.append(explain(entry.problem), againButton(song));
  else if (entry.state === "cancelled") box.append(make("p", {}, t("cancelled")), againButton(song));
  else {
    const words = { down: "down-wait", retrying: "retrying", waiting: "waiting" }[entry.state] ?? "asking";
    box.append(make("p", { class: entry.state === "down" ? "" : "pending" }, t(words, { seconds: entry.seconds })));
  }
  return box;
}

/** Asks again what failed or was cancelled about a song. */
export const againButton = (song) =>
  make("button", { type: "button", class: "quiet", "data-testid": "ask-again", onclick: () => songs.again(song) }, t("ask-again"));

function answer(song, name, labels) {
  const { probabilities, model, features_digest: digest } = song.asks[name].value;
  const best = mostProbable(probabilities);
  const all = labelsOf(song);
  const bars = labels.filter((label) => label in probabilities).map((label) => {
    const fill = make("span", { class: "fill" });
    fill.style.width = `${100 * probabilities[label]}%`;
    fill.style.backgroundColor = genreColour(all, label);
    return make("li", { "data-genre": label, class: label === best ? "best" : "" },
      make("span", { class: "name" }, genre(label)),
      make("span", { class: "track", "aria-hidden": "true" }, fill),
      make("span", { class: "value" }, percent(probabilities[label])));
  });
  const row = (key, value) => [make("dt", {}, t(key)), make("dd", {}, make("code", {}, value))];
  const details = make("details", { open: isOpen[name], ontoggle: (event) => (isOpen[name] = event.target.open) },
    make("summary", {}, t("details")),
    make("dl", {}, ...row("detail-model", model.name), ...row("detail-version", model.version),
      ...row("detail-digest", digest), ...row("detail-fingerprint", model.fingerprint)));
  return [
    make("p", { class: "heard" },
      make("strong", { "data-testid": `genre-${name}`, "data-genre": best }, genre(best)),
      make("span", { class: "soft" }, t("confidence", { percent: percent(probabilities[best]) }))),
    make("ol", { class: "bars", "aria-label": t("probability-of", { model: t(`model-${name}`) }), "data-testid": `bars-${name}` }, ...bars),
    make("p", { class: "version soft" }, `${model.name} `, make("code", {}, model.version)),
    details,
  ];
}

/**
 * The problem that every answer about the song has met, if they all met the same: it is the song's, and is shown once.
 * @param {import("./songs.js").Song} song
 */
export function sharedProblem(song) {
  const asked = [song.asks.features, ...shown().map((name) => song.asks[name])].filter(({ state }) => state !== "idle");
  const failed = asked.filter((entry) => isLost(entry) && entry.problem);
  const [first] = failed;
  const isShared = first && failed.length === asked.length && failed.every(({ problem }) => problem.slug === first.problem.slug);
  return isShared ? first.problem : null;
}
