// The predictions of the models, side by side.

import { byId, make } from "./dom.js";
import { about, alternatives, current, genre, has, listed, modelName, number, percent, t, wholePercent, worded } from "./i18n.js";
import { ALL_SHOWN, SHOWN_FIRST, UNSEARCHED, areGenres, best, matches, predicted, ranked } from "./labels.js";
import { watch } from "./models.js";
import { labelColour } from "./palette.js";
import { explain } from "./problems.js";
import { provenance } from "./provenance.js";
import { canRetry, isPending, tracks } from "./tracks.js";
import { isDark } from "./theme.js";

/** A set of more labels than this is not spelled out. */
const FEW_LIKELY = 4;

/** From so many characters on, the predicted label is set smaller. */
const LONG = 20;

/** The answer in a sentence, and one of what it is worth where the audio is unlike the training set; nothing while there is none. */
export function summary(track) {
  const done = tracks.selected.filter((name) => track.prediction(name).state === "done");
  const novel = done.filter((name) => track.prediction(name).value.novelty?.out_of_distribution);
  return [comparison(track, done), novelty(track, done, novel)].filter(Boolean).join(" ");
}

/** That the audio is unlike what these models were trained on. */
function novelty(track, done, novel) {
  if (novel.length === 0) return "";
  if (done.length === 1) return worded("novel", {}, areGenres(track.prediction(done[0]).value.labels));
  return novel.length === done.length ? t("novel-all") : t("novel-some", { models: listed(novel.map(modelName)) });
}

function comparison(track, done) {
  const found = done.map((name) => ({ model: modelName(name), ...predicted(track.prediction(name).value) }));
  if (found.length === 0) return "";
  const [{ model, label, share }] = found;
  if (found.length === 1) return t("one-predicts", { model, genre: genre(label), percent: percent(share) });
  if (found.every((each) => each.label === label)) {
    return t(found.length === 2 ? "agree" : "agree-all", { n: found.length, genre: genre(label) });
  }
  return t("disagree", { predictions: found.map((each) => t("predicts", { model: each.model, genre: genre(each.label) })).join(", ") });
}

/**
 * What the user has done with the card of a model; it stays so when the card is redrawn.
 * @type {Map<string, {hasDetails: boolean, isExpanded: boolean, query: string}>}
 */
const views = new Map();

function viewOf(name) {
  const view = views.get(name) ?? { hasDetails: false, isExpanded: false, query: "" };
  views.set(name, view);
  return view;
}

/** @type {Map<string, {signature: string, card: HTMLElement}>} what is drawn, by model */
const drawn = new Map();

/** @param {import("./tracks.js").Track} track */
export function drawPredictions(track) {
  const names = tracks.selected;
  const order = sharedOrder(track, names);
  const cards = names.map((name) => {
    const { state, seconds, sent, attempts } = track.prediction(name);
    const { kind, trained_on: data, evaluated, warning } = watch.model(name) ?? {};
    const signature = JSON.stringify([track.id, current(), isDark(), order, state, seconds, shareText(sent), attempts, kind, data, evaluated, warning]);
    const old = drawn.get(name);
    if (old?.signature === signature) return old.card;
    const fresh = card(track, name, order);
    // The focus stays where it was.
    const focused = old?.card.contains(document.activeElement) ? document.activeElement.dataset.testid : null;
    old?.card.replaceWith(fresh);
    drawn.set(name, { signature, card: fresh });
    if (focused) refocus(fresh, focused);
    return fresh;
  });
  for (const name of drawn.keys()) if (!names.includes(name)) drawn.delete(name);
  const box = byId("predictions");
  if (cards.length !== box.children.length || cards.some((each, at) => each !== box.children[at])) box.replaceChildren(...cards);
}

function refocus(card, testId) {
  const element = [...card.querySelectorAll("[data-testid]")].find(({ dataset }) => dataset.testid === testId);
  element?.focus();
  if (element instanceof HTMLInputElement) element.setSelectionRange(element.value.length, element.value.length);
}

/**
 * The labels by the sum of their probabilities, so that the bars of all models are in the same order; nothing where there are
 * too many to compare: then those of each model have an order of their own.
 */
function sharedOrder(track, names) {
  const found = names.map((name) => track.prediction(name).value).filter(Boolean);
  const sums = new Map();
  for (const { labels, values } of found) labels.forEach((label, at) => sums.set(label, (sums.get(label) ?? 0) + values[at]));
  return sums.size > ALL_SHOWN ? null : [...sums.keys()].sort((a, b) => sums.get(b) - sums.get(a));
}

function card(track, name, order) {
  const entry = track.prediction(name);
  const head = make("header", {}, make("h3", {}, modelName(name)), make("p", { class: "soft" }, about(watch.model(name)?.kind)));
  const box = make("article", { class: "card prediction", "data-testid": `prediction-${name}`, "data-state": entry.state }, head);
  if (entry.state === "done") box.append(...prediction(name, entry.value, order));
  else box.append(...pending(track, entry));
  return box;
}

/** The share of a file that was sent, as it is shown. */
const shareText = (sent) => wholePercent(Math.floor(100 * sent) / 100);

/** How far a request is that is not done, in words. @param {import("./tracks.js").Request} entry */
export function stateText({ state, seconds, sent }) {
  if (state === "running" && sent > 0 && sent < 1) return t("uploading", { percent: shareText(sent) });
  return t(state === "down" ? "down-wait" : state, { seconds });
}

/** What is shown instead of what a request gives, while it is not done. @param {import("./tracks.js").Request} entry */
export function pending(track, entry) {
  const more = canRetry(entry) ? [retryButton(track)] : [];
  if (entry.state === "failed") return [explain(entry.problem), ...more];
  const isMoving = isPending(entry) && entry.state !== "down";
  return [make("p", { class: isMoving ? "pending" : "" }, stateText(entry)), ...more];
}

/** Repeats what may succeed now of what failed or was cancelled of a track. */
export const retryButton = (track) =>
  make("button", { type: "button", class: "quiet", "data-testid": "retry", onclick: () => tracks.retry(track) }, t("retry"));

function prediction(name, value, order) {
  const { model, features_digest: digest } = value;
  const { label, share } = predicted(value);
  const view = viewOf(name);
  const row = (key, text) => [make("dt", {}, t(key)), make("dd", {}, make("code", {}, text))];
  const details = make("details", { open: view.hasDetails, ontoggle: (event) => (view.hasDetails = event.target.open) },
    make("summary", {}, t("details")),
    make("dl", {}, ...row("detail-model", model.name), ...row("detail-version", model.version),
      ...row("detail-digest", digest), ...row("detail-fingerprint", model.fingerprint)));
  return [
    make("p", { class: "predicted" },
      make("strong", { "data-testid": `genre-${name}`, "data-genre": label, class: genre(label).length > LONG ? "long" : null }, genre(label)),
      make("span", { class: "soft" }, percent(share))),
    ...worth(name, value),
    ...bars(name, value, order),
    ...provenance(name, value),
    details,
  ];
}

/**
 * What the labels are worth, in words: that they say little, or which of them it may well be. Nothing of a model that does not say.
 * @param {string} name of the model
 * @param {import("./labels.js").Prediction} value
 */
function worth(name, { labels, novelty: found, labels_90: likely }) {
  const isOfGenres = areGenres(labels);
  if (found?.out_of_distribution) {
    const kind = `signal-${found.signal}`;
    const words = [worded("novel", {}, isOfGenres), has(kind) && t(kind)].filter(Boolean).join(" ");
    return [make("p", { class: "note", "data-testid": `novelty-${name}` }, words)];
  }
  if (!(likely?.length > 1)) return [];
  const words = likely.length > FEW_LIKELY ? worded("likely-many", { n: number(likely.length) }, isOfGenres) : t("likely", { genres: alternatives(likely.map(genre)) });
  return [make("p", { class: "soft", "data-testid": `likely-${name}` }, words)];
}

/**
 * The probabilities as bars: all of few labels; of many the most probable ones, with a button for the others and a search.
 * @param {string} name of the model
 * @param {import("./labels.js").Prediction} value
 * @param {string[] | null} order of the labels of all models
 */
function bars(name, { labels, values }, order) {
  const view = viewOf(name);
  const ids = new Map(labels.map((label, at) => [label, at]));
  const indices = order ? order.filter((label) => ids.has(label)).map((label) => /** @type {number} */ (ids.get(label))) : ranked(values);
  const title = { "aria-label": worded("probability-of", { model: modelName(name) }, areGenres(labels)), "data-testid": `bars-${name}` };
  const top = best(values);
  if (labels.length <= ALL_SHOWN) return [make("ol", { class: "bars", ...title }, ...indices.map((at) => bar(labels[at], values[at], at === top)))];

  const list = make("ol", { class: "bars many", id: `bars-${name}`, ...title });
  const status = make("p", { class: "soft small", role: "status", "data-testid": `found-${name}` });
  const more = make("button", { type: "button", class: "link", "aria-controls": `bars-${name}`, "data-testid": `more-${name}`, onclick: () => {
    view.isExpanded = !view.isExpanded;
    draw();
  } });
  const draw = () => {
    const query = view.query.trim();
    const found = query ? indices.filter((at) => matches(query, labels[at], genre(labels[at]))) : indices;
    const isLong = found.length > ALL_SHOWN;
    const shown = isLong && !view.isExpanded ? found.slice(0, SHOWN_FIRST) : found;
    list.replaceChildren(...shown.map((at) => bar(labels[at], values[at], at === top)));
    // What scrolls is reached by the keyboard.
    list.tabIndex = isLong && view.isExpanded ? 0 : -1;
    more.hidden = !isLong;
    more.textContent = view.isExpanded ? t("labels-fewer", { n: SHOWN_FIRST }) : t("labels-more", { n: number(found.length - SHOWN_FIRST) });
    more.setAttribute("aria-expanded", String(view.isExpanded));
    status.hidden = !query;
    status.textContent = query ? t(found.length > 0 ? "labels-found" : "labels-none", { n: number(found.length), all: number(labels.length), query }) : "";
  };
  const parts = [list, more];
  if (labels.length > UNSEARCHED) {
    const field = make("input", { type: "search", id: `search-${name}`, autocomplete: "off", value: view.query, "data-testid": `search-${name}`, oninput: (event) => {
      view.query = event.target.value;
      draw();
    } });
    parts.unshift(make("p", { class: "row search" }, make("label", { for: `search-${name}` }, t("labels-search")), field), status);
  }
  draw();
  return parts;
}

function bar(label, share, isBest) {
  const fill = make("span", { class: "fill" });
  fill.style.width = `${100 * share}%`;
  fill.style.backgroundColor = labelColour(label);
  return make("li", { "data-genre": label, class: isBest ? "best" : "" },
    make("span", { class: "name", title: genre(label).length > LONG ? label : null }, genre(label)),
    make("span", { class: "rail", "aria-hidden": "true" }, fill),
    make("span", { class: "value" }, percent(share)));
}

/**
 * The problem that all requests about the track have, if it is the same: it is the track's, and is shown once.
 * @param {import("./tracks.js").Track} track
 */
export function sharedProblem(track) {
  const sent = [track.features, ...tracks.selected.map((name) => track.prediction(name))].filter(({ state }) => state !== "idle");
  const failed = sent.filter(({ state }) => state === "failed");
  const [first] = failed;
  const isShared = first && failed.length === sent.length && failed.every(({ problem }) => problem.slug === first.problem.slug);
  return isShared ? first.problem : null;
}
