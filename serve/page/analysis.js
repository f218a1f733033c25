// The open track over time: waveform, spectrogram and labels on the same time axis, with one cursor.

import { byId, coalesced, make } from "./dom.js";
import { clock, genre, languages, modelName, number, percent, seconds, t, wholePercent, worded } from "./i18n.js";
import { areGenres, best, predicted } from "./labels.js";
import { watch } from "./models.js";
import { margins } from "./plot.js";
import { explain } from "./problems.js";
import { tracks } from "./tracks.js";
import { drawExplanation, drawLogMel, loudness, peak } from "./spectrogram.js";
import { themes } from "./theme.js";
import { intervalAt, intervals } from "./timeline.js";
import { TimelinePanel } from "./timeline-panel.js";
import { pending, stateText } from "./predictions.js";
import { drawWaveform } from "./waveform.js";

const canvas = (id) => /** @type {HTMLCanvasElement} */ (byId(id));
const input = (id) => /** @type {HTMLInputElement} */ (byId(id));

/** The plots of the open track. */
export class Analysis {
  /** @param {import("./player.js").Player} player */
  constructor(player) {
    this.player = player;
    /** @type {import("./tracks.js").Track | null} */
    this.track = null;
    this.isExplaining = false;
    /** @type {Map<string, TimelinePanel>} by the name of the model */
    this.panels = new Map();
    /** Name of the model that the user has chosen to explain, if any. */
    this.chosen = "";
    /** Label that is explained; `predicted` is the predicted one. */
    this.label = "predicted";
    this.draw = coalesced(() => this.#draw());
    new ResizeObserver(this.draw).observe(byId("plots"));
    themes.addEventListener("change", this.draw);
    languages.addEventListener("change", this.draw);
    this.#watchRatio();
    player.addEventListener("time", () => this.#move());
    this.#listen();
  }

  /** @param {import("./tracks.js").Track | null} track */
  show(track) {
    if (track !== this.track) this.label = "predicted";
    this.track = track;
    this.#request(false);
    this.draw();
  }

  /** Requests the explanation that is to be shown, if any. */
  #request(isRetry) {
    const { network } = this;
    if (!this.track || !this.isExplaining || !network) return;
    tracks.requestExplanation(this.track, network, this.label, isRetry);
  }

  /** Names of the selected models that can explain their predictions. */
  get networks() {
    return tracks.selected.filter((name) => watch.explains(name));
  }

  /** The one that is explained, if there is any. */
  get network() {
    const { networks, chosen } = this;
    return networks.includes(chosen) ? chosen : networks[0];
  }

  /** Length of the track in seconds; 0 while unknown. */
  get duration() {
    return this.track?.seconds || this.player.audio.duration || 0;
  }

  #listen() {
    const scrub = input("scrub");
    scrub.addEventListener("input", () => this.player.seek(Number(scrub.value), this.duration));
    scrub.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 };
      if (event.key === " ") this.player.toggle();
      else if (event.key in steps) this.player.seek(this.player.time + steps[event.key], this.duration);
      else return;
      event.preventDefault();
    });
    const go = (plot, event) => {
      const box = plot.getBoundingClientRect();
      const { left, right } = margins(box.width);
      const share = (event.clientX - box.left - left) / (box.width - left - right);
      this.player.seek(share * this.duration, this.duration);
    };
    byId("plots").addEventListener("pointerdown", (event) => {
      const plot = event.target instanceof Element ? event.target.closest(".plot") : null;
      if (!plot || event.button !== 0) return;
      plot.setPointerCapture(event.pointerId);
      go(plot, event);
    });
    byId("plots").addEventListener("pointermove", (event) => {
      const plot = event.target instanceof Element ? event.target.closest(".plot") : null;
      if (plot?.hasPointerCapture(event.pointerId)) go(plot, event);
    });
    byId("play").addEventListener("click", () => this.player.toggle());
    this.player.addEventListener("state", () => this.#drawButton());
    byId("explain").addEventListener("change", () => {
      this.isExplaining = input("explain").checked;
      this.#request(true);
      this.draw();
    });
    byId("explain-genre").addEventListener("change", () => {
      this.label = input("explain-genre").value;
      this.#request(true);
      this.draw();
    });
    byId("explain-model").addEventListener("change", () => {
      this.chosen = input("explain-model").value;
      this.label = "predicted";
      this.#request(true);
      this.draw();
    });
    byId("explain-opacity").addEventListener("input", () => this.#fade());
  }

  /** Draws anew when the window moves to a screen of another density. */
  #watchRatio() {
    const query = matchMedia(`(resolution: ${window.devicePixelRatio}dppx)`);
    query.addEventListener("change", () => {
      this.draw();
      this.#watchRatio();
    }, { once: true });
  }

  #fade() {
    const { value } = input("explain-opacity");
    canvas("grad-cam").style.opacity = String(Number(value) / 100);
    byId("explain-opacity-text").textContent = wholePercent(Number(value) / 100);
  }

  #draw() {
    const { track, duration } = this;
    byId("analysis").hidden = !track;
    if (!track) return;
    const scrub = input("scrub");
    scrub.max = String(duration || 1);
    scrub.disabled = !duration;
    this.#drawAudio(track, duration);
    this.#drawExplanation(track, duration);
    this.#drawTimelines(track, duration);
    this.#drawButton();
    this.#move();
  }

  #drawAudio(track, duration) {
    const { state, value } = track.features;
    byId("audio-plots-wait").replaceChildren(...(state === "done" ? [] : pending(track, track.features)));
    byId("audio-plots-wait").hidden = state === "done";
    byId("audio-plots").hidden = state !== "done";
    if (state !== "done") return;
    const { logMel, waveform } = value;
    const length = seconds(duration);
    drawWaveform(canvas("waveform"), waveform, duration);
    canvas("waveform").setAttribute("aria-label", t("waveform-label", { name: track.name, length }));
    drawLogMel(canvas("log-mel"), logMel, duration, this.#map(track) !== null);
    const [low, high] = [logMel.row_hz[0], logMel.row_hz[logMel.rows - 1]].map((hz) => number(hz));
    canvas("log-mel").setAttribute("aria-label", t("log-mel-label", { name: track.name, low, high, length }));
    const { low: softest, high: loudest } = loudness(logMel);
    byId("db-low").textContent = number(softest);
    byId("db-high").textContent = number(loudest);
  }

  /** The map that is to be shown, if there is one. */
  #map(track) {
    const { network } = this;
    if (!this.isExplaining || !network) return null;
    return track.explanation(network, this.label)?.value ?? null;
  }

  #drawExplanation(track, duration) {
    const { network } = this;
    const prediction = network ? track.prediction(network).value : null;
    const canExplain = Boolean(prediction && track.file);
    byId("explain-box").hidden = !network;
    byId("explain-about").textContent = network ? this.#worded("explain-about", { model: modelName(network) }) : "";
    byId("explain-genre-label").textContent = this.#worded("explain-genre");
    input("explain").disabled = !canExplain && !this.isExplaining;
    byId("explain-more").hidden = !this.isExplaining || !canExplain;
    const map = this.#map(track);
    const isDrawn = map !== null && track.features.state === "done";
    canvas("grad-cam").hidden = !isDrawn;
    byId("explain-legend").hidden = !isDrawn;
    byId("log-mel-legend").classList.toggle("grey", isDrawn);
    if (prediction) this.#drawChoice(prediction);
    this.#describe(track, map);
    if (!isDrawn) return;
    drawExplanation(canvas("grad-cam"), map, track.features.value.logMel, duration);
    this.#fade();
  }

  /** A text about the labels of the network that is explained. */
  #worded(key, values = {}) {
    const labels = watch.model(this.network)?.labels ?? [];
    return labels.length > 0 ? worded(key, values, areGenres(labels)) : worded(key, values);
  }

  /** The networks and the labels that can be explained: the predicted one first. */
  #drawChoice(prediction) {
    const { label: first } = predicted(prediction);
    const labels = prediction.labels.filter((label) => label !== first);
    fill("explain-genre", [["predicted", t("explain-predicted", { genre: genre(first) })], ...labels.map((label) => [label, genre(label)])]);
    input("explain-genre").value = this.label;
    byId("explain-models").hidden = this.networks.length < 2;
    fill("explain-model", this.networks.map((name) => [name, modelName(name)]));
    input("explain-model").value = this.network;
  }

  /** What the map shows, in words. */
  #describe(track, map) {
    const { network } = this;
    const entry = network && track.explanation(network, this.label);
    const text = byId("explain-status");
    if (!this.isExplaining || !entry) return text.replaceChildren();
    if (entry.state === "failed") return text.replaceChildren(explain(entry.problem));
    if (!map) {
      const words = entry.state === "running" ? t("explain-running") : stateText(entry);
      return text.replaceChildren(make("p", { class: entry.state === "cancelled" ? "" : "pending" }, words));
    }
    const strongest = peak(map);
    const values = { model: modelName(network), genre: genre(map.genre), seconds: seconds(strongest?.seconds ?? 0), hz: number(strongest?.hz ?? 0) };
    text.replaceChildren(make("p", {}, this.#worded(strongest ? "explain-peak" : "explain-nothing", values)));
    canvas("grad-cam").setAttribute("aria-label", this.#worded(strongest ? "explain-label" : "explain-nothing", values));
  }

  #drawTimelines(track, duration) {
    const done = tracks.selected.filter((name) => track.prediction(name).value?.segments.length > 0);
    const panels = done.map((name) => {
      if (!this.panels.has(name)) this.panels.set(name, new TimelinePanel(name, this.draw));
      return /** @type {TimelinePanel} */ (this.panels.get(name));
    });
    const box = byId("timelines");
    if (panels.length !== box.children.length || panels.some(({ figure }, at) => figure !== box.children[at])) {
      box.replaceChildren(...panels.map(({ figure }) => figure));
    }
    panels.forEach((panel, at) => panel.draw(track.prediction(done[at]).value, duration, at === panels.length - 1));
    this.#drawSegments(track, done);
  }

  /** The segments as a table, for those who cannot see the plots. */
  #drawSegments(track, done) {
    const rows = done.flatMap((name) => {
      const { labels, segments } = track.prediction(name).value;
      return segments.map(({ start, end, values }) => {
        const at = best(values);
        return make("tr", {},
          make("td", {}, modelName(name)),
          make("td", {}, `${seconds(start)} – ${seconds(end)}`),
          make("td", {}, genre(labels[at])),
          make("td", {}, percent(values[at])));
      });
    });
    byId("segment-rows").replaceChildren(...rows);
    byId("segments").hidden = rows.length === 0;
  }

  #drawButton() {
    const { isPlaying, canPlay } = this.player;
    const button = byId("play");
    button.hidden = !canPlay;
    button.classList.toggle("playing", isPlaying);
    button.setAttribute("aria-label", t(isPlaying ? "pause" : "play"));
  }

  /** Moves the cursor to the position in the track. */
  #move() {
    const { track, duration } = this;
    if (!track || !duration) return;
    const time = Math.min(this.player.time, duration);
    const { left, right } = margins(byId("plots").clientWidth);
    const width = byId("plots").clientWidth - left - right;
    const { style } = byId("plots");
    style.setProperty("--left", `${left}px`);
    style.setProperty("--right", `${right}px`);
    style.setProperty("--at", `${left + (time / duration) * width}px`);
    const scrub = input("scrub");
    scrub.value = String(time);
    const genres = tracks.selected.map((name) => {
      const { value, state } = track.prediction(name);
      const interval = state === "done" ? intervalAt(intervals(value.segments), time) : null;
      return interval && t("now", { model: modelName(name), genre: genre(value.labels[interval.best]), percent: percent(interval.values[interval.best]) });
    });
    const words = [`${clock(time)} / ${clock(duration)}`, ...genres.filter(Boolean)].join(" · ");
    byId("now").textContent = words;
    byId("now").dataset.seconds = time.toFixed(3);
    scrub.setAttribute("aria-valuetext", words);
  }
}

/** Fills a choice, unless it has these options already. */
function fill(id, options) {
  const choice = byId(id);
  const signature = JSON.stringify(options);
  if (choice.dataset.signature === signature) return;
  choice.replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
  choice.dataset.signature = signature;
}
