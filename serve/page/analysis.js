// The open track over time: waveform, spectrogram and genres on the same time axis, with one cursor.

import { byId, coalesced, make } from "./dom.js";
import { clock, genre, languages, number, percent, seconds, t } from "./i18n.js";
import { MODELS } from "./models.js";
import { margins } from "./plot.js";
import { explain } from "./problems.js";
import { tracks } from "./tracks.js";
import { drawExplanation, drawLogMel, loudness, peak } from "./spectrogram.js";
import { themes } from "./theme.js";
import { bands, drawTimeline, mostProbable, intervalAt, intervals } from "./timeline.js";
import { retryButton, labelsOf } from "./predictions.js";
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
    if (!this.track || !this.isExplaining || !tracks.selected.includes("vgg19")) return;
    tracks.requestExplanation(this.track, this.label, isRetry);
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
    for (const plot of document.querySelectorAll(".plot")) {
      const go = (event) => {
        const box = plot.getBoundingClientRect();
        const { left, right } = margins(box.width);
        const share = (event.clientX - box.left - left) / (box.width - left - right);
        this.player.seek(share * this.duration, this.duration);
      };
      plot.addEventListener("pointerdown", (event) => {
        if (event.button !== 0) return;
        plot.setPointerCapture(event.pointerId);
        go(event);
      });
      plot.addEventListener("pointermove", (event) => plot.hasPointerCapture(event.pointerId) && go(event));
    }
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
    byId("explain-opacity-text").textContent = new Intl.NumberFormat(document.documentElement.lang, { style: "percent" }).format(Number(value) / 100);
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
    const { state, value } = track.requests.features;
    byId("audio-plots-wait").replaceChildren(...this.#wait(track));
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

  /** What is shown while there is no waveform and no spectrogram. */
  #wait(track) {
    const { state, problem, seconds: wait } = track.requests.features;
    if (state === "done") return [];
    if (state === "failed") return [explain(problem), retryButton(track)];
    if (state === "cancelled") return [make("p", {}, t("cancelled")), retryButton(track)];
    return [make("p", { class: "pending" }, t(state === "retrying" ? "retrying" : "running", { seconds: wait }))];
  }

  /** The map that is to be shown, if there is one. */
  #map(track) {
    if (!this.isExplaining || !tracks.selected.includes("vgg19")) return null;
    return track.explanations.get(this.label)?.value ?? null;
  }

  #drawExplanation(track, duration) {
    const prediction = track.requests.vgg19.value;
    const canExplain = tracks.selected.includes("vgg19") && Boolean(prediction);
    byId("explain-box").hidden = !tracks.selected.includes("vgg19");
    input("explain").disabled = !canExplain && !this.isExplaining;
    byId("explain-more").hidden = !this.isExplaining || !canExplain;
    const map = this.#map(track);
    const isDrawn = map !== null && track.requests.features.state === "done";
    canvas("grad-cam").hidden = !isDrawn;
    byId("explain-legend").hidden = !isDrawn;
    byId("log-mel-legend").classList.toggle("grey", isDrawn);
    if (prediction) this.#drawChoice(prediction);
    this.#describe(track, map);
    if (!isDrawn) return;
    drawExplanation(canvas("grad-cam"), map, track.requests.features.value.logMel, duration);
    this.#fade();
  }

  /** The genres that can be explained: the predicted one first. */
  #drawChoice(prediction) {
    const best = mostProbable(prediction.probabilities);
    const labels = Object.keys(prediction.probabilities).filter((label) => label !== best);
    const options = [["predicted", t("explain-predicted", { genre: genre(best) })], ...labels.map((label) => [label, genre(label)])];
    const choice = byId("explain-genre");
    const signature = JSON.stringify(options);
    if (choice.dataset.signature !== signature) {
      choice.replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
      choice.dataset.signature = signature;
    }
    input("explain-genre").value = this.label;
  }

  /** What the map shows, in words. */
  #describe(track, map) {
    const entry = track.explanations.get(this.label);
    const text = byId("explain-status");
    if (!this.isExplaining || !entry) return text.replaceChildren();
    if (entry.state === "failed") return text.replaceChildren(explain(entry.problem));
    if (!map) {
      const words = { retrying: "retrying", cancelled: "cancelled" }[entry.state] ?? "explain-running";
      return text.replaceChildren(make("p", { class: "pending" }, t(words, entry)));
    }
    const strongest = peak(map);
    const values = { genre: genre(map.genre), seconds: seconds(strongest?.seconds ?? 0), hz: number(strongest?.hz ?? 0) };
    text.replaceChildren(make("p", {}, t(strongest ? "explain-peak" : "explain-nothing", values)));
    canvas("grad-cam").setAttribute("aria-label", t(strongest ? "explain-label" : "explain-nothing", values));
  }

  #drawTimelines(track, duration) {
    const labels = labelsOf(track);
    const done = MODELS.filter(({ name }) => tracks.selected.includes(name) && track.requests[name].state === "done");
    for (const { name } of MODELS) {
      const panel = byId(`panel-${name}`);
      panel.hidden = !done.some((model) => model.name === name);
      if (panel.hidden) continue;
      const found = intervals(track.requests[name].value.segments);
      drawTimeline(canvas(`timeline-${name}`), found, labels, duration, name === done.at(-1).name);
      const words = bands(found).map(({ start, end, best }) =>
        t("band", { start: clock(start), end: clock(end), genre: genre(best) }));
      canvas(`timeline-${name}`).setAttribute("aria-label", t("timeline-label", { model: t(`model-${name}`), bands: words.join("; ") }));
    }
    this.#drawSegments(track, done);
  }

  /** The segments as a table, for those who cannot see the plots. */
  #drawSegments(track, done) {
    const rows = done.flatMap(({ name }) => track.requests[name].value.segments.map((segment) => make("tr", {},
      make("td", {}, t(`model-${name}`)),
      make("td", {}, `${seconds(segment.start_seconds)} – ${seconds(segment.end_seconds)}`),
      make("td", {}, genre(segment.predicted_genre)),
      make("td", {}, percent(segment.probabilities[segment.predicted_genre])))));
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
    const genres = MODELS.map(({ name }) => {
      const { value, state } = track.requests[name];
      const interval = state === "done" && tracks.selected.includes(name) ? intervalAt(intervals(value.segments), time) : null;
      return interval && t("now", { model: t(`model-${name}`), genre: genre(interval.best), percent: percent(interval.probabilities[interval.best]) });
    });
    const words = [`${clock(time)} / ${clock(duration)}`, ...genres.filter(Boolean)].join(" · ");
    byId("now").textContent = words;
    byId("now").dataset.seconds = time.toFixed(3);
    scrub.setAttribute("aria-valuetext", words);
  }
}
