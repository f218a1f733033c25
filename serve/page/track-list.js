// The list of tracks: a table with the predictions for each.

import { announce, byId, coalesced, later, make } from "./dom.js";
import { csv, save } from "./csv.js";
import { clock, genre, languages, percent, t } from "./i18n.js";
import { MODELS } from "./models.js";
import { sentence } from "./problems.js";
import { canRetry, isPending, tracks } from "./tracks.js";
import { mostProbable } from "./timeline.js";

/** @type {Map<number, HTMLElement>} a row for each track */
const rows = new Map();
let wasBusy = false;

const requested = (track) => MODELS.filter(({ name }) => tracks.selected.includes(name)).map(({ name }) => track.requests[name]);

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

function predicted(track, name) {
  const { value } = track.requests[name];
  if (!value) return ["–"];
  const best = mostProbable(value.probabilities);
  return [make("b", {}, genre(best)), " ", make("span", { class: "soft" }, percent(value.probabilities[best]))];
}

function row(track) {
  const current = state(track);
  const cell = (column, testId, ...children) =>
    make("td", { "data-column": t(`col-${column}`), class: `col-${column}` }, make("span", { "data-testid": testId }, ...children));
  const isShown = track === tracks.open;
  return make("tr", { "data-testid": "row", "data-state": current, class: isShown ? "open" : "" },
    make("th", { scope: "row" },
      make("button", { type: "button", class: "link", "aria-current": isShown ? "true" : null, onclick: () => open(track) }, track.name)),
    cell("length", "cell-length", track.seconds ? clock(track.seconds) : "–"),
    cell("svm", "cell-svm", ...predicted(track, "svm")),
    cell("vgg19", "cell-vgg19", ...predicted(track, "vgg19")),
    cell("state", "cell-state", stateText(track)));
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

function drawAll() {
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

/** The table for a spreadsheet; genres by the models' own labels. */
function table() {
  const head = ["file", "seconds", ...MODELS.flatMap(({ name }) => [`${name}_genre`, `${name}_probability`, `${name}_version`]), "problem"];
  const lines = tracks.list.map((track) => [
    track.name,
    track.audio?.seconds,
    ...MODELS.flatMap(({ name }) => {
      const { value } = track.requests[name];
      if (!value) return ["", "", ""];
      const best = mostProbable(value.probabilities);
      return [best, value.probabilities[best], value.model.version];
    }),
    requested(track).find(({ problem, state: each }) => problem && each === "failed")?.problem.slug,
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
