// The list of tracks: a table with the predictions for each, how many there are of each label, a search and an order.

import { announce, byId, coalesced, later, make, redraw } from "./dom.js";
import { warningCode, warningText, warningsOf } from "./audio.js";
import { columnOf, countsOf, shownOf, wholeList } from "./batch.js";
import { csv, save } from "./csv.js";
import { clock, cut, genre, languages, listed, modelName, number, percent, t, worded } from "./i18n.js";
import { ALL_SHOWN, SHOWN_FIRST, areGenres, predicted } from "./labels.js";
import { watch } from "./models.js";
import { labelColour } from "./palette.js";
import { stateText as textOf } from "./predictions.js";
import { sentence } from "./problems.js";
import { isDark, themes } from "./theme.js";
import { canRetry, isPending, tracks } from "./tracks.js";

/** @type {Map<number, HTMLElement>} a row for each track */
const rows = new Map();
let wasBusy = false;
/** Models all of whose counts are shown, where they are many. */
const expanded = new Set();
/** What of the list is shown. */
let view = wholeList();

/** A label on a count is cut to so many characters. */
const LONGEST = 24;
/** How long a track that was added is marked, in milliseconds. */
const MARKED = 2500;

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
  return entry ? textOf(entry) : t(current);
}

/** The tracks that are shown, in their order. */
const shown = () => shownOf(tracks.list, view, { names: columns(), show: genre, state });

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
  fresh.classList.toggle("fresh", old.classList.contains("fresh"));
  old.replaceWith(fresh);
  rows.set(track.id, fresh);
  if (hasFocus) fresh.querySelector("button")?.focus();
}

/** The columns of the table, each with its title. */
const titles = () => [["file", t("col-file")], ["length", t("col-length")], ...columns().map((name) => [columnOf(name), modelName(name)]), ["state", t("col-state")]];

/** The heads of the columns, which sort; where the table has none, on a small screen, a choice does. */
function drawHead() {
  if (view.column && !titles().some(([column]) => column === view.column)) view = { ...view, column: "" };
  const choice = /** @type {HTMLSelectElement} */ (byId("sort"));
  const options = [["", t("sort-added")], ...titles()];
  redraw(choice, options, () => options.map(([column, text]) => make("option", { value: column }, text)));
  choice.value = view.column;
  /** @type {HTMLInputElement} */ (byId("sort-falling")).checked = view.isFalling;
  const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.column : null;
  byId("track-columns").replaceChildren(...titles().map(([column, text]) => {
    const direction = column === view.column ? (view.isFalling ? "descending" : "ascending") : null;
    return make("th", { scope: "col", "aria-sort": direction },
      make("button", { type: "button", class: "sort", "data-column": column, "data-testid": `sort-${column}`, onclick: () => sortBy(column) }, text));
  }));
  if (focused) byId("track-columns").querySelector(`[data-column="${CSS.escape(focused)}"]`)?.focus();
}

/** Sorts by a column: rising, then falling, then not at all. */
function sortBy(column) {
  const isSame = view.column === column;
  change(isSame && view.isFalling ? { column: "", isFalling: false } : { column, isFalling: isSame });
}

/** Shows something else of the list. */
function change(more) {
  view = { ...view, ...more };
  drawHead();
  drawOrder();
  drawCounts();
}

/** Puts the rows that are shown in their order. */
function drawOrder() {
  const found = shown();
  const box = byId("track-rows");
  const wanted = found.map((track) => rows.get(track.id));
  if (wanted.length !== box.children.length || wanted.some((each, at) => each !== box.children[at])) {
    const focused = box.contains(document.activeElement) ? document.activeElement : null;
    box.replaceChildren(...wanted);
    if (focused instanceof HTMLElement && box.contains(focused)) focused.focus();
  }
  const [n, all] = [found.length, tracks.list.length];
  byId("shown").textContent = n < all ? t("shown", { n: number(n), all: number(all) }) : "";
  byId("show-all").hidden = n === all && !view.chosen && !view.query;
  byId("csv").textContent = n < all ? t("csv-shown", { n: number(n) }) : t("csv");
}

/** How many tracks have each label, by each model: a count that is pressed leaves those alone. */
function drawCounts() {
  const all = columns().map((name) => ({ name, labels: watch.model(name)?.labels ?? [], counts: countsOf(tracks.list, name) }));
  const drawn = all.filter(({ counts }) => counts.some(({ label }) => label !== null));
  const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.count : null;
  redraw(byId("counts"), [drawn, view.chosen, [...expanded], isDark()], () => drawn.map(({ name, labels, counts }) => {
    const shownCounts = counts.length > ALL_SHOWN && !expanded.has(name) ? counts.slice(0, SHOWN_FIRST) : counts;
    const others = counts.length - shownCounts.length;
    const more = () => {
      expanded.add(name);
      drawCounts();
    };
    return make("div", { class: "counts", role: "group", "aria-labelledby": `counts-${name}`, "data-testid": `counts-${name}` },
      make("h3", { id: `counts-${name}`, class: "soft" }, worded("counts", { model: modelName(name) }, labels.length === 0 || areGenres(labels))),
      ...shownCounts.map((each) => count(name, each)),
      ...(others > 0 ? [make("button", { type: "button", class: "link", onclick: more }, t("labels-more", { n: number(others) }))] : []));
  }));
  if (focused) [...byId("counts").querySelectorAll("button")].find(({ dataset }) => dataset.count === focused)?.focus();
}

function count(name, { label, n }) {
  const isChosen = view.chosen?.model === name && view.chosen.label === label;
  const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
  if (label !== null) swatch.style.backgroundColor = labelColour(label);
  return make("button", {
    type: "button", class: "count", "aria-pressed": String(isChosen), title: label, "data-count": JSON.stringify([name, label]),
    onclick: () => change({ chosen: isChosen ? null : { model: name, label } }),
  }, ...(label === null ? [] : [swatch]), t("count-of", { label: label === null ? t("not-predicted") : cut(genre(label), LONGEST), n: number(n) }));
}

function drawAll() {
  drawHead();
  for (const [id] of rows) if (!tracks.list.some((track) => track.id === id)) rows.delete(id);
  if (tracks.list.length === 0) view = wholeList();
  for (const track of tracks.list) {
    if (!rows.has(track.id)) rows.set(track.id, make("tr"));
    drawRow(track);
  }
  drawOrder();
  drawCounts();
  drawProgress();
}

/** Shows tracks that were added, wherever the page is scrolled to. */
export function reveal(added) {
  if (!added.every((track) => shown().includes(track))) change({ query: "", chosen: null });
  /** @type {HTMLInputElement} */ (byId("find")).value = view.query;
  later(() => {
    const fresh = added.map((track) => rows.get(track.id)).filter(Boolean);
    fresh[0]?.scrollIntoView({ block: "center" });
    for (const each of fresh) each.classList.add("fresh");
    // Also of those that a search hides by then.
    setTimeout(() => added.forEach((track) => rows.get(track.id)?.classList.remove("fresh")), MARKED);
  });
}

/** How many of these are not done, by the reason; nothing where all are. @param {string[]} states */
function rest(states) {
  const parts = ["failed", "cancelled", "down"].map((each) => [each, states.filter((state) => state === each).length]);
  return parts.filter(([, n]) => n > 0).map(([each, n]) => t(`n-${each}`, { n: number(Number(n)) }));
}

/** What is said when nothing is under way any more. */
function ending() {
  const states = tracks.list.map(state);
  const done = states.filter((each) => each === "done").length;
  if (done === states.length) return t("finished");
  return `${t("ended", { done: number(done), all: number(states.length) })} ${listed(rest(states))}.`;
}

const drawProgress = coalesced(() => {
  const all = tracks.list.flatMap(requested);
  const pending = all.filter(isPending).length;
  const isBusy = all.some((entry) => isPending(entry) && entry.state !== "down");
  byId("track-list").hidden = tracks.list.length < 2;
  const bar = /** @type {HTMLProgressElement} */ (byId("progress"));
  bar.max = Math.max(1, all.length);
  bar.value = all.length - pending;
  const done = all.filter((entry) => entry.state === "done").length;
  byId("progress-text").textContent = [t("progress", { done: number(done), all: number(all.length) }), ...rest(all.map((entry) => entry.state))].join(" · ");
  byId("cancel").toggleAttribute("disabled", pending === 0);
  byId("retry-all").hidden = !all.some(canRetry);
  if (wasBusy && !isBusy && tracks.list.length > 1) announce(ending());
  wasBusy = isBusy;
});

/** What a column of the table for a spreadsheet calls the labels of a model. */
const nounOf = (name) => (areGenres(watch.model(name)?.labels ?? []) ? "genre" : "label");

/** The table for a spreadsheet, with the models' own labels: the tracks that are shown, in their order. */
function table() {
  const names = columns();
  const head = ["file", "seconds", ...names.flatMap((name) => [`${name}_${nounOf(name)}`, `${name}_probability`, `${name}_version`]), "problem", "warnings"];
  const lines = shown().map((track) => [    track.name,
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
    drawOrder();
    drawCounts();
  });
  tracks.addEventListener("change", ({ detail: track }) => {
    if (!track) return drawAll();
    changed.add(track);
    drawChanged();
    drawProgress();
  });
  languages.addEventListener("change", drawAll);
  themes.addEventListener("change", drawCounts);
  watch.addEventListener("change", drawAll);
  byId("cancel").addEventListener("click", () => tracks.cancel());
  byId("retry-all").addEventListener("click", () => tracks.retry());
  byId("clear").addEventListener("click", () => {
    tracks.clear();
    byId("choose").focus();
  });
  byId("csv").addEventListener("click", () => save(worded("csv-name"), table()));
  const find = /** @type {HTMLInputElement} */ (byId("find"));
  find.addEventListener("input", () => change({ query: find.value }));
  byId("show-all").addEventListener("click", () => {
    find.value = "";
    change({ query: "", chosen: null });
    find.focus();
  });
  const [sort, falling] = [/** @type {HTMLSelectElement} */ (byId("sort")), /** @type {HTMLInputElement} */ (byId("sort-falling"))];
  sort.addEventListener("change", () => change({ column: sort.value }));
  falling.addEventListener("change", () => change({ isFalling: falling.checked }));
  byId("track-rows").addEventListener("click", ({ target }) => {
    if (!(target instanceof Element) || target.closest("button")) return;
    const found = tracks.list.find((track) => rows.get(track.id)?.contains(target));
    if (found) open(found);
  });
}
