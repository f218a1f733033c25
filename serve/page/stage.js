// The song from left to right: waveform, spectrogram and genres over the same seconds, with one cursor.

import { byId, coalesced, make } from "./dom.js";
import { clock, genre, languages, number, percent, seconds, t } from "./i18n.js";
import { MODELS } from "./models.js";
import { room } from "./plot.js";
import { explain } from "./problems.js";
import { songs } from "./songs.js";
import { drawExplanation, drawLogMel, loudness, peak } from "./spectrogram.js";
import { themes } from "./theme.js";
import { bands, drawTimeline, mostProbable, pieceAt, pieces } from "./timeline.js";
import { againButton, labelsOf } from "./verdicts.js";
import { drawWaveform } from "./waveform.js";

const canvas = (id) => /** @type {HTMLCanvasElement} */ (byId(id));
const input = (id) => /** @type {HTMLInputElement} */ (byId(id));

/** The stage of the open song. */
export class Stage {
  /** @param {import("./player.js").Player} player */
  constructor(player) {
    this.player = player;
    /** @type {import("./songs.js").Song | null} */
    this.song = null;
    this.isExplaining = false;
    /** Label whose reasons are shown; `predicted` is the model's own answer. */
    this.label = "predicted";
    this.draw = coalesced(() => this.#draw());
    new ResizeObserver(this.draw).observe(byId("score"));
    themes.addEventListener("change", this.draw);
    languages.addEventListener("change", this.draw);
    this.#watchRatio();
    player.addEventListener("time", () => this.#move());
    this.#listen();
  }

  /** @param {import("./songs.js").Song | null} song */
  show(song) {
    if (song !== this.song) this.label = "predicted";
    this.song = song;
    this.#ask(false);
    this.draw();
  }

  /** Asks for the reasons that are to be shown, if any are. */
  #ask(isAgain) {
    if (!this.song || !this.isExplaining || !songs.wanted.includes("vgg19")) return;
    songs.askExplanation(this.song, this.label, isAgain);
  }

  /** Length of the song in seconds, as far as anyone knows. */
  get duration() {
    return this.song?.seconds || this.player.audio.duration || 0;
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
        const { left, right } = room(box.width);
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
      this.#ask(true);
      this.draw();
    });
    byId("explain-genre").addEventListener("change", () => {
      this.label = input("explain-genre").value;
      this.#ask(true);
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
    const { song, duration } = this;
    byId("stage").hidden = !song;
    if (!song) return;
    const scrub = input("scrub");
    scrub.max = String(duration || 1);
    scrub.disabled = !duration;
    this.#drawSound(song, duration);
    this.#drawExplanation(song, duration);
    this.#drawTimelines(song, duration);
    this.#drawButton();
    this.#move();
  }

  #drawSound(song, duration) {
    const { state, value } = song.asks.features;
    byId("sound-wait").replaceChildren(...this.#wait(song));
    byId("sound-wait").hidden = state === "done";
    byId("sound").hidden = state !== "done";
    if (state !== "done") return;
    const { logMel, waveform } = value;
    const length = seconds(duration);
    drawWaveform(canvas("waveform"), waveform, duration);
    canvas("waveform").setAttribute("aria-label", t("waveform-label", { name: song.name, length }));
    drawLogMel(canvas("log-mel"), logMel, duration, this.#map(song) !== null);
    const [low, high] = [logMel.row_hz[0], logMel.row_hz[logMel.rows - 1]].map((hz) => number(hz));
    canvas("log-mel").setAttribute("aria-label", t("log-mel-label", { name: song.name, low, high, length }));
    const { low: softest, high: loudest } = loudness(logMel);
    byId("db-low").textContent = number(softest);
    byId("db-high").textContent = number(loudest);
  }

  /** What is said while there is no waveform and no spectrogram. */
  #wait(song) {
    const { state, problem, seconds: wait } = song.asks.features;
    if (state === "done") return [];
    if (state === "failed") return [explain(problem), againButton(song)];
    if (state === "cancelled") return [make("p", {}, t("cancelled")), againButton(song)];
    return [make("p", { class: "pending" }, t(state === "retrying" ? "retrying" : "asking", { seconds: wait }))];
  }

  /** The map that is to be seen, if there is one. */
  #map(song) {
    if (!this.isExplaining || !songs.wanted.includes("vgg19")) return null;
    return song.explanations.get(this.label)?.value ?? null;
  }

  #drawExplanation(song, duration) {
    const answer = song.asks.vgg19.value;
    const canExplain = songs.wanted.includes("vgg19") && Boolean(answer);
    byId("explain-box").hidden = !songs.wanted.includes("vgg19");
    input("explain").disabled = !canExplain && !this.isExplaining;
    byId("explain-more").hidden = !this.isExplaining || !canExplain;
    const map = this.#map(song);
    const isDrawn = map !== null && song.asks.features.state === "done";
    canvas("grad-cam").hidden = !isDrawn;
    byId("explain-legend").hidden = !isDrawn;
    byId("log-mel-legend").classList.toggle("grey", isDrawn);
    if (answer) this.#drawChoice(answer);
    this.#sayReasons(song, map);
    if (!isDrawn) return;
    drawExplanation(canvas("grad-cam"), map, song.asks.features.value.logMel, duration);
    this.#fade();
  }

  /** The genres that can be explained: the answer first. */
  #drawChoice(answer) {
    const best = mostProbable(answer.probabilities);
    const labels = Object.keys(answer.probabilities).filter((label) => label !== best);
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
  #sayReasons(song, map) {
    const entry = song.explanations.get(this.label);
    const said = byId("explain-said");
    if (!this.isExplaining || !entry) return said.replaceChildren();
    if (entry.state === "failed") return said.replaceChildren(explain(entry.problem));
    if (!map) {
      const words = { retrying: "retrying", cancelled: "cancelled" }[entry.state] ?? "explain-asking";
      return said.replaceChildren(make("p", { class: "pending" }, t(words, entry)));
    }
    const place = peak(map);
    const values = { genre: genre(map.genre), seconds: seconds(place?.seconds ?? 0), hz: number(place?.hz ?? 0) };
    said.replaceChildren(make("p", {}, t(place ? "explain-peak" : "explain-nothing", values)));
    canvas("grad-cam").setAttribute("aria-label", t(place ? "explain-label" : "explain-nothing", values));
  }

  #drawTimelines(song, duration) {
    const labels = labelsOf(song);
    const done = MODELS.filter(({ name }) => songs.wanted.includes(name) && song.asks[name].state === "done");
    for (const { name } of MODELS) {
      const panel = byId(`panel-${name}`);
      panel.hidden = !done.some((model) => model.name === name);
      if (panel.hidden) continue;
      const found = pieces(song.asks[name].value.segments);
      drawTimeline(canvas(`timeline-${name}`), found, labels, duration, name === done.at(-1).name);
      const words = bands(found).map(({ start, end, best }) =>
        t("band", { start: clock(start), end: clock(end), genre: genre(best) }));
      canvas(`timeline-${name}`).setAttribute("aria-label", t("timeline-label", { model: t(`model-${name}`), bands: words.join("; ") }));
    }
    this.#drawPassages(song, done);
  }

  /** The passages as a table, for those who read rather than look. */
  #drawPassages(song, done) {
    const rows = done.flatMap(({ name }) => song.asks[name].value.segments.map((segment) => make("tr", {},
      make("td", {}, t(`model-${name}`)),
      make("td", {}, `${seconds(segment.start_seconds)} – ${seconds(segment.end_seconds)}`),
      make("td", {}, genre(segment.predicted_genre)),
      make("td", {}, percent(segment.probabilities[segment.predicted_genre])))));
    byId("passages-rows").replaceChildren(...rows);
    byId("passages").hidden = rows.length === 0;
  }

  #drawButton() {
    const { isPlaying, canPlay } = this.player;
    const button = byId("play");
    button.hidden = !canPlay;
    button.classList.toggle("playing", isPlaying);
    button.setAttribute("aria-label", t(isPlaying ? "pause" : "play"));
  }

  /** Puts the cursor where the song is. */
  #move() {
    const { song, duration } = this;
    if (!song || !duration) return;
    const time = Math.min(this.player.time, duration);
    const { left, right } = room(byId("score").clientWidth);
    const width = byId("score").clientWidth - left - right;
    const { style } = byId("score");
    style.setProperty("--left", `${left}px`);
    style.setProperty("--right", `${right}px`);
    style.setProperty("--at", `${left + (time / duration) * width}px`);
    const scrub = input("scrub");
    scrub.value = String(time);
    const heard = MODELS.map(({ name }) => {
      const { value, state } = song.asks[name];
      const piece = state === "done" && songs.wanted.includes(name) ? pieceAt(pieces(value.segments), time) : null;
      return piece && t("now", { model: t(`model-${name}`), genre: genre(piece.best), percent: percent(piece.probabilities[piece.best]) });
    });
    const words = [`${clock(time)} / ${clock(duration)}`, ...heard.filter(Boolean)].join(" · ");
    byId("now").textContent = words;
    byId("now").dataset.seconds = time.toFixed(3);
    scrub.setAttribute("aria-valuetext", words);
  }
}
