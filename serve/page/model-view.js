// The models of the server on the page: their status, the choice among them, and what has to be known of them.

import { announce, byId, make, redraw } from "./dom.js";
import { about, bytes, duration, genre, has, listed, modelName, number, speakOf, t, worded } from "./i18n.js";
import { ALL_SHOWN, SHOWN_FIRST, areGenres } from "./labels.js";
import { watch } from "./models.js";
import { labelColour } from "./palette.js";
import { accuracy, members, origin, training } from "./provenance.js";
import { isDark } from "./theme.js";
import { tracks } from "./tracks.js";

/** So many models have their status in the header; of more, those that are selected. */
const IN_HEADER = 4;

const names = () => watch.models.map(({ name }) => name);

function drawStatus() {
  const all = names();
  const shown = all.length > IN_HEADER ? all.filter((name) => tracks.selected.includes(name)) : all;
  const chips = shown.map((name) => {
    const model = watch.status.get(name) ?? {};
    const title = [model.version && `${t("detail-version")} ${model.version}`, origin(model)].filter(Boolean).join(" · ");
    return { name, state: watch.state(name), title: title || null };
  });
  redraw(byId("status"), chips, () => chips.map(({ name, state, title }) =>
    make("span", { class: "chip", "data-testid": `status-${name}`, "data-state": state, title }, `${modelName(name)} ${t(`state-${state}`)}`)));
}

/** The choice: the usual two or one of them; of other models any number. */
function drawChoice() {
  const all = names();
  byId("models").hidden = all.length < 2;
  byId("models-usual").hidden = !watch.isUsual;
  byId("models-named").hidden = watch.isUsual;
  byId("lead").textContent = watch.isUsual ? worded("lead") : worded(has(`lead-${all.length}`) ? `lead-${all.length}` : "lead-n", { n: all.length });
  if (watch.isUsual) return;
  const box = byId("models-named");
  redraw(box, all, () => all.map((name) => make("label", {},
    make("input", { type: "checkbox", value: name, "data-testid": `models-${name}`, onchange: choose }), make("span", {}, modelName(name)))));
  for (const input of box.querySelectorAll("input")) input.checked = tracks.selected.includes(input.value);
}

function choose({ target }) {
  const chosen = [...byId("models-named").querySelectorAll("input")].filter(({ checked }) => checked).map(({ value }) => value);
  if (chosen.length > 0) return tracks.select(chosen);
  target.checked = true;
  announce(t("models-none"));
}

/** Which servers are down, in words; nothing while all are up. */
function downText(down) {
  if (watch.isServerUp === false) return t("down-server");
  if (down.length === 0) return "";
  if (watch.isUsual) return t(down.length === 1 ? `down-${down[0]}` : "down-both");
  if (down.length === tracks.selected.length) return t("down-all", { models: listed(down.map(modelName)) });
  return t("down-some", { models: listed(down.map(modelName)) });
}

function drawBanner() {
  const down = (watch.isUsual ? names() : tracks.selected).filter((name) => watch.isDown(name));
  const words = downText(down);
  const problems = down.map((name) => watch.status.get(name)?.problem).filter(Boolean);
  byId("banner").hidden = !words;
  redraw(byId("banner"), [words, problems], () => {
    if (!words) return [];
    const details = problems.length > 0 && make("details", {}, make("summary", {}, t("problem-details")),
      ...problems.map((problem) => make("p", { lang: "en" }, problem)));
    return [make("p", {}, words), ...(details ? [details] : [])];
  });
}

/** Says of each selected model that was trained on synthetic audio that it was. */
function drawSynthetic() {
  const synthetic = tracks.selected.filter((name) => watch.model(name)?.trained_on?.synthetic);
  const models = listed(synthetic.map(modelName));
  byId("synthetic").hidden = synthetic.length === 0;
  redraw(byId("synthetic"), synthetic, () =>
    synthetic.length === 0 ? [] : [make("p", {}, t(synthetic.length === 1 ? "synthetic-1" : "synthetic-n", { models }))]);
}

/** What the selected models are, how good they are, and which labels they know: until there is a track, whose predictions say so. */
function drawAbout() {
  const models = tracks.selected.map((name) => watch.model(name)).filter((model) => model?.labels.length > 0);
  const box = byId("about-models");
  box.hidden = tracks.list.length > 0 || models.length === 0;
  redraw(byId("about-models-list"), [models, isDark()], () => models.map(aboutModel));
}

/** @param {import("./models.js").Model} model */
function aboutModel(model) {
  const { name, kind, labels, warning } = model;
  const parts = [origin(model), members(model), training(model)].filter(Boolean).join(" · ");
  const isInBanner = model.trained_on?.synthetic;
  const id = `labels-of-${name}`;
  const item = (label) => {
    const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.backgroundColor = labelColour(label);
    return make("li", {}, swatch, make("span", { class: "name" }, genre(label)));
  };
  const shown = labels.length > ALL_SHOWN ? labels.slice(0, SHOWN_FIRST) : labels;
  const list = make("ul", { class: "swatches", id, "data-testid": id, "aria-label": t("labels-n", { n: number(labels.length) }) }, ...shown.map(item));
  const more = make("button", { type: "button", class: "link", "aria-controls": id, "data-testid": `labels-more-of-${name}`, onclick: () => {
    list.replaceChildren(...labels.map(item));
    // What scrolls is reached by the keyboard.
    list.tabIndex = 0;
    list.focus();
    more.remove();
  } }, t("labels-more", { n: number(labels.length - shown.length) }));
  return make("article", { class: "card prediction", "data-testid": `about-${name}` },
    make("header", {}, make("h3", {}, modelName(name)), make("p", { class: "soft" }, about(kind))),
    make("p", { "data-testid": `accuracy-${name}` }, make("strong", {}, sentenceCase(accuracy(model) ?? t("accuracy-unknown")))),
    ...(parts ? [make("p", { class: "soft" }, sentenceCase(parts))] : []),
    ...(warning && !isInBanner ? [make("p", { class: "note", lang: "en" }, warning)] : []),
    list, ...(shown.length < labels.length ? [more] : []));
}

const sentenceCase = (text) => text.charAt(0).toLocaleUpperCase() + text.slice(1);

/** Whether the labels of the selected models are genres of music, as far as they are known. */
const haveGenres = () => tracks.selected.every((name) => {
  const labels = watch.model(name)?.labels ?? [];
  return labels.length === 0 || areGenres(labels);
});

/** Says how large and how long a file may be, where the server says so. */
function drawLimits() {
  const { bytes: size, seconds } = watch.limits(tracks.selected);
  const isKnown = Number.isFinite(size) && Number.isFinite(seconds);
  byId("limits").textContent = isKnown ? ` · ${t("limits", { size: bytes(size), length: duration(seconds) })}` : "";
}

/** Draws all that concerns the models. */
export function drawModels() {
  speakOf(haveGenres());
  drawAbout();
  drawLimits();
  drawStatus();
  drawChoice();
  drawBanner();
  drawSynthetic();
  byId("key-box").hidden = !watch.needsKey;
}

/** Connects the choice to the tracks, and the status to the poll. */
export function setUpModels() {
  for (const radio of byId("models-usual").querySelectorAll("input")) {
    radio.addEventListener("change", () => tracks.select(names().filter((name) => radio.value === "both" || radio.value === name)));
  }
  watch.addEventListener("change", drawModels);
  watch.addEventListener("ready", ({ detail: { name, wasDown } }) => {
    if (wasDown) announce(t("back", { model: modelName(name) }));
  });
  tracks.addEventListener("change", ({ detail: track }) => {
    if (!track) drawModels(); // the selection may be another
  });
}
