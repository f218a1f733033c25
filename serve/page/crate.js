// Many songs: a table of what the models say of each.

import { announce, byId, coalesced, later, make } from "./dom.js";
import { csv, save } from "./csv.js";
import { clock, genre, languages, percent, t } from "./i18n.js";
import { MODELS } from "./models.js";
import { sentence } from "./problems.js";
import { isLost, isPending, songs } from "./songs.js";
import { mostProbable } from "./timeline.js";

/** @type {Map<number, HTMLElement>} a row for each song */
const rows = new Map();
let wasBusy = false;

const asked = (song) => MODELS.filter(({ name }) => songs.wanted.includes(name)).map(({ name }) => song.asks[name]);

/** The state of a song: what is the furthest from done of what was asked. */
function state(song) {
  const states = asked(song).map((entry) => entry.state);
  return ["failed", "cancelled", "retrying", "asking", "waiting", "down", "done"].find((each) => states.includes(each)) ?? "idle";
}

function stateText(song) {
  const current = state(song);
  const entry = asked(song).find((each) => each.state === current);
  if (current === "failed") return sentence(entry.problem);
  if (current === "down") return t("state-unavailable");
  return t(current, { seconds: entry?.seconds ?? 0 });
}

function said(song, name) {
  const { value } = song.asks[name];
  if (!value) return ["–"];
  const best = mostProbable(value.probabilities);
  return [make("b", {}, genre(best)), " ", make("span", { class: "soft" }, percent(value.probabilities[best]))];
}

function row(song) {
  const current = state(song);
  const cell = (column, testId, ...children) =>
    make("td", { "data-column": t(`col-${column}`), class: `col-${column}` }, make("span", { "data-testid": testId }, ...children));
  const isShown = song === songs.open;
  return make("tr", { "data-testid": "row", "data-state": current, class: isShown ? "open" : "" },
    make("th", { scope: "row" },
      make("button", { type: "button", class: "link", "aria-current": isShown ? "true" : null, onclick: () => open(song) }, song.name)),
    cell("length", "cell-length", song.seconds ? clock(song.seconds) : "–"),
    cell("svm", "cell-svm", ...said(song, "svm")),
    cell("vgg19", "cell-vgg19", ...said(song, "vgg19")),
    cell("state", "cell-state", stateText(song)));
}

function open(song) {
  songs.show(song);
  // After the song's own drawing, which shows what is to be focused.
  later(() => {
    byId("song-title").focus({ preventScroll: true });
    byId("deck").scrollIntoView({ block: "start" });
  });
}

/** Makes a row anew; the focus stays where it was. */
function drawRow(song) {
  const old = rows.get(song.id);
  if (!old) return;
  const hasFocus = old.contains(document.activeElement);
  const fresh = row(song);
  old.replaceWith(fresh);
  rows.set(song.id, fresh);
  if (hasFocus) fresh.querySelector("button")?.focus();
}

function drawAll() {
  for (const [id] of rows) if (!songs.list.some((song) => song.id === id)) rows.delete(id);
  for (const song of songs.list) {
    if (!rows.has(song.id)) rows.set(song.id, make("tr"));
    drawRow(song);
  }
  byId("crate-rows").replaceChildren(...songs.list.map((song) => rows.get(song.id)));
  drawProgress();
}

const drawProgress = coalesced(() => {
  const all = songs.list.flatMap(asked);
  const pending = all.filter(isPending).length;
  const isBusy = all.some((entry) => isPending(entry) && entry.state !== "down");
  byId("crate").hidden = songs.list.length < 2;
  const bar = /** @type {HTMLProgressElement} */ (byId("progress"));
  bar.max = Math.max(1, all.length);
  bar.value = all.length - pending;
  byId("progress-text").textContent = t("progress", { done: all.length - pending, all: all.length });
  byId("cancel").toggleAttribute("disabled", pending === 0);
  byId("retry-all").hidden = !all.some(isLost);
  if (wasBusy && !isBusy && songs.list.length > 1) announce(t("finished"));
  wasBusy = isBusy;
});

/** The table for a spreadsheet; genres by the models' own labels. */
function table() {
  const head = ["file", "seconds", ...MODELS.flatMap(({ name }) => [`${name}_genre`, `${name}_probability`, `${name}_version`]), "problem"];
  const lines = songs.list.map((song) => [
    song.name,
    song.audio?.seconds,
    ...MODELS.flatMap(({ name }) => {
      const { value } = song.asks[name];
      if (!value) return ["", "", ""];
      const best = mostProbable(value.probabilities);
      return [best, value.probabilities[best], value.model.version];
    }),
    asked(song).find(({ problem, state: each }) => problem && each === "failed")?.problem.slug,
  ]);
  return csv([head, ...lines]);
}

/** Wires the table to the songs. */
export function setUpCrate() {
  const changed = new Set();
  const drawChanged = coalesced(() => {
    for (const song of changed) drawRow(song);
    changed.clear();
  });
  songs.addEventListener("change", ({ detail: song }) => {
    if (!song) return drawAll();
    changed.add(song);
    drawChanged();
    drawProgress();
  });
  languages.addEventListener("change", drawAll);
  byId("cancel").addEventListener("click", () => songs.cancel());
  byId("retry-all").addEventListener("click", () => songs.again());
  byId("clear").addEventListener("click", () => {
    songs.clear();
    byId("choose").focus();
  });
  byId("csv").addEventListener("click", () => save(t("csv-name"), table()));
  byId("crate-rows").addEventListener("click", ({ target }) => {
    if (!(target instanceof Element) || target.closest("button")) return;
    const found = songs.list.find((song) => rows.get(song.id)?.contains(target));
    if (found) open(found);
  });
}
