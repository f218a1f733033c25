// The list of tracks: a table with the predictions for each.

import { announce, byId, coalesced, later, make } from "./dom.js";
import { warningCode, warningText, warningsOf } from "./audio.js";
import { csv, save } from "./csv.js";
import { clock, genre, languages, modelName, percent, t } from "./i18n.js";
import { predicted } from "./labels.js";
import { watch } from "./models.js";
import { sentence } from "./problems.js";
import { canRetry, isPending, tracks } from "./tracks.js";

/** @type {Map<number, HTMLElement>} a row for each track */
const rows = new Map();
let wasBusy = false;

const requested = (track) => tracks.selected.map((name) => track.prediction(name));

/** Names of the models with a column: both of the usual two; of others those that are selected, or have predicted something. */
const columns = () =>
  watch.models.map(({ name }) => name).filter((name) =>
    watch.isUsual || tracks.selected.includes(name) || tracks.list.some((track) => track.predictions.get(name)?.value));

/** The state of a track: that of the request which is furthest from done. */
function state(track) {
  const states = requested(track).map((entry) => entry.state);
  return ["failed", "cancelled", "retrying", "running", "waiting", "down", "done"].find((each) => states.includes(each)) ?? "idle";
}

function stateText(track) {
  const current = state(track);
  const entry = requested(track).find((each) => each.state === current);
  if (current === "failed") return sentence(entry.problem);
  if (current === "down") return t("state-unavailable");
  return t(current, { seconds: entry?.seconds ?? 0 });
}

function prediction(track, name) {
  const { value } = track.prediction(name);
  if (!value) return ["–"];
  const { label, share } = predicted(value);
  return [make("b", { title: label }, genre(label)), " ", make("span", { class: "soft" }, percent(share))];
}

function row(track) {
  const current = state(track);
  const cell = (title, kind, testId, ...children) =>
    make("td", { "data-column": title, class: kind }, make("span", { "data-testid": testId }, ...children));
  const isShown = track === tracks.open;
  return make("tr", { "data-testid": "row", "data-state": current, class: isShown ? "open" : "" },
    make("th", { scope: "row" },
      make("button", { type: "button", class: "link", "aria-current": isShown ? "true" : null, onclick: () => open(track) }, track.name)),
    cell(t("col-length"), "col-length", "cell-length", track.seconds ? clock(track.seconds) : "–"),
    ...columns().map((name) => cell(modelName(name), "col-model", `cell-${name}`, ...prediction(track, name))),
    make("td", { "data-column": t("col-state"), class: "col-state" },
      make("span", {}, make("span", { "data-testid": "cell-state" }, stateText(track)), ...sign(track))));
}

/** A sign that something is wrong with the file, with the words for it. */
function sign(track) {
  const words = warningsOf(track).map(warningText).join("; ");
  return words ? [" ", make("span", { class: "sign", role: "img", title: words, "aria-label": words, "data-testid": "cell-warnings" }, "⚠\uFE0E")] : [];
}

function open(track) {
  tracks.show(track);
  // After the track is drawn, which shows what is to be focused.
  later(() => {
    byId("track-title").focus({ preventScroll: true });
    byId("deck").scrollIntoView({ block: "start" });
  });
}

/** Redraws a row; the focus stays where it was. */
function drawRow(track) {
  const old = rows.get(track.id);
  if (!old) return;
  const hasFocus = old.contains(document.activeElement);
  const fresh = row(track);
  old.replaceWith(fresh);
  rows.set(track.id, fresh);
  if (hasFocus) fresh.querySelector("button")?.focus();
}

function drawHead() {
  const texts = [t("col-file"), t("col-length"), ...columns().map(modelName), t("col-state")];
  byId("track-columns").replaceChildren(...texts.map((text) => make("th", { scope: "col" }, text)));
}

function drawAll() {
  drawHead();
  for (const [id] of rows) if (!tracks.list.some((track) => track.id === id)) rows.delete(id);
  for (const track of tracks.list) {
    if (!rows.has(track.id)) rows.set(track.id, make("tr"));
    drawRow(track);
  }
  byId("track-rows").replaceChildren(...tracks.list.map((track) => rows.get(track.id)));
  drawProgress();
}

const drawProgress = coalesced(() => {
  const all = tracks.list.flatMap(requested);
  const pending = all.filter(isPending).length;
  const isBusy = all.some((entry) => isPending(entry) && entry.state !== "down");
  byId("track-list").hidden = tracks.list.length < 2;
  const bar = /** @type {HTMLProgressElement} */ (byId("progress"));
  bar.max = Math.max(1, all.length);
  bar.value = all.length - pending;
  byId("progress-text").textContent = t("progress", { done: all.length - pending, all: all.length });
  byId("cancel").toggleAttribute("disabled", pending === 0);
  byId("retry-all").hidden = !all.some(canRetry);
  if (wasBusy && !isBusy && tracks.list.length > 1) announce(t("finished"));
  wasBusy = isBusy;
});

/** The table for a spreadsheet, with the models' own labels. */
function table() {
  const names = columns();
  const head = ["file", "seconds", ...names.flatMap((name) => [`${name}_genre`, `${name}_probability`, `${name}_version`]), "problem", "warnings"];
  const lines = tracks.list.map((track) => [
    track.name,
    track.audio?.seconds,
    ...names.flatMap((name) => {
      const { value } = track.prediction(name);
      if (!value) return ["", "", ""];
      const { label, share } = predicted(value);
      return [label, share, value.model.version];
    }),
    requested(track).find(({ problem, state: each }) => problem && each === "failed")?.problem.slug,
    warningsOf(track).map(warningCode).join("; "),
  ]);
  return csv([head, ...lines]);
}

/** Connects the table to the tracks. */
export function setUpTrackList() {
  const changed = new Set();
  const drawChanged = coalesced(() => {
    for (const track of changed) drawRow(track);
    changed.clear();
  });
  tracks.addEventListener("change", ({ detail: track }) => {
    if (!track) return drawAll();
    changed.add(track);
    drawChanged();
    drawProgress();
  });
  languages.addEventListener("change", drawAll);
  watch.addEventListener("change", drawAll);
  byId("cancel").addEventListener("click", () => tracks.cancel());
  byId("retry-all").addEventListener("click", () => tracks.retry());
  byId("clear").addEventListener("click", () => {
    tracks.clear();
    byId("choose").focus();
  });
  byId("csv").addEventListener("click", () => save(t("csv-name"), table()));
  byId("track-rows").addEventListener("click", ({ target }) => {
    if (!(target instanceof Element) || target.closest("button")) return;
    const found = tracks.list.find((track) => rows.get(track.id)?.contains(target));
    if (found) open(found);
  });
}
