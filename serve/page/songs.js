// The songs on the page, and what was asked and answered about each.

import { Problem, ask, explanation, features } from "./api.js";
import { MODELS, watch } from "./models.js";
import { Queue } from "./queue.js";

/** Requests under way at a time. */
const WIDTH = 2;
/** How often a model is asked about a song after its server was found down, before that is called a failure. */
const CALLS = 4;

/**
 * A question about a song. `down` waits for the server of its model.
 * @typedef {"idle" | "waiting" | "asking" | "retrying" | "done" | "failed" | "down" | "cancelled"} State
 * @typedef {{state: State, value: any, problem: Problem | null, seconds: number, calls: number,
 *            controller: AbortController | null}} Ask
 */

/** @returns {Ask} */
const unasked = () => ({ state: "idle", value: null, problem: null, seconds: 0, calls: 0, controller: null });

let nextId = 1;

/** A file and all that is known of it. */
export class Song {
  /** @param {File} file */
  constructor(file) {
    this.id = nextId++;
    this.file = file;
    this.name = file.name;
    /** @type {Record<string, Ask>} by model, and `features` */
    this.asks = { svm: unasked(), vgg19: unasked(), features: unasked() };
    /** @type {Map<string, Ask>} by label, or `predicted` */
    this.explanations = new Map();
  }

  /** What was decoded, as far as any answer says. */
  get audio() {
    const answered = Object.values(this.asks).find((entry) => entry.value);
    return answered?.value.audio ?? null;
  }

  /** Length in seconds; 0 while it is not known. */
  get seconds() {
    return this.audio?.seconds ?? 0;
  }
}

/** The list. Fires `change` with the song that changed, or without one when the list did. */
class Songs extends EventTarget {
  constructor() {
    super();
    /** @type {Song[]} */
    this.list = [];
    /** @type {Song | null} the one that is shown in full */
    this.open = null;
    /** Names of the models that are asked. */
    this.wanted = MODELS.map(({ name }) => name);
    this.queue = new Queue(WIDTH);
    watch.addEventListener("ready", (event) => this.#callAgain(event.detail.name));
  }

  /** @param {Iterable<File>} files */
  add(files) {
    const added = [...files].map((file) => new Song(file));
    this.list.push(...added);
    this.#changed(null);
    for (const song of added) this.#askModels(song, false);
    return added;
  }

  /** Shows a song in full. */
  show(song) {
    this.open = song;
    this.#changed(null);
    if (!song) return;
    if (song.asks.features.state === "idle") this.askFeatures(song);
    this.#askModels(song, true);
  }

  /** Asks these models from now on. */
  want(names) {
    this.wanted = names;
    this.#changed(null);
    if (this.open) this.#askModels(this.open, true);
    for (const song of this.list) this.#askModels(song, false);
  }

  /** Stops everything that is under way. */
  cancel() {
    for (const song of this.list) {
      for (const entry of [...Object.values(song.asks), ...song.explanations.values()]) {
        if (!isPending(entry)) continue;
        entry.state = "cancelled";
        entry.controller?.abort();
      }
      this.#changed(song);
    }
  }

  /** Forgets every song. */
  clear() {
    this.cancel();
    this.list = [];
    this.open = null;
    this.#changed(null);
  }

  /** Asks again what was cancelled or failed: of one song, or of all. */
  again(song = null) {
    for (const each of song ? [song] : this.list) {
      for (const { name } of MODELS) if (isLost(each.asks[name])) each.asks[name] = unasked();
      this.#askModels(each, each === this.open);
      if (isLost(each.asks.features)) {
        each.asks.features = unasked();
        if (each === this.open) this.askFeatures(each);
      }
    }
  }

  /** Asks for log-mel and waveform. */
  askFeatures(song) {
    this.#ask(song, song.asks.features, true, (options) => features(song.file, options));
  }

  /**
   * Asks what VGG19 listened to for a label, or for its own answer (`predicted`), unless that was asked before.
   * @param {boolean} [isAgain] asks anew if it failed before
   */
  askExplanation(song, label, isAgain = false) {
    const known = song.explanations.get(label);
    if (known && !(isAgain && isLost(known))) return;
    const entry = unasked();
    song.explanations.set(label, entry);
    this.#ask(song, entry, true, async (options) => {
      const map = await explanation(song.file, label, options);
      if (label === "predicted") song.explanations.set(map.genre, entry);
      return map;
    });
  }

  #askModels(song, isFirst) {
    for (const { name, route } of MODELS) {
      const entry = song.asks[name];
      if (!this.wanted.includes(name) || entry.state !== "idle") continue;
      if (watch.isDown(name)) {
        entry.state = "down";
        this.#changed(song);
        continue;
      }
      this.#ask(song, entry, isFirst, (options) => ask(route, song.file, options));
    }
  }

  /** A model that answers again, or still, is asked what it missed. */
  #callAgain(name) {
    for (const song of this.list) {
      const entry = song.asks[name];
      if (entry.state !== "down") continue;
      entry.state = "idle";
      this.#askModels(song, song === this.open);
    }
  }

  /**
   * @param {Song} song
   * @param {Ask} entry
   * @param {boolean} isFirst
   * @param {(options: object) => Promise<any>} question
   */
  #ask(song, entry, isFirst, question) {
    const become = (state, more = {}) => {
      Object.assign(entry, { state, ...more });
      this.#changed(song);
    };
    become("waiting", { controller: new AbortController() });
    this.queue.add(async () => {
      if (entry.state !== "waiting") return; // cancelled in the meantime
      const { signal } = entry.controller;
      try {
        const value = await question({
          signal,
          onSend: () => become("asking"),
          onWait: (seconds) => become("retrying", { seconds }),
        });
        become("done", { value });
      } catch (error) {
        if (signal.aborted) return;
        const problem = error instanceof Problem ? error : new Problem({ slug: "unknown", detail: String(error) });
        entry.calls += 1;
        const isDown = problem.slug === "backend-unavailable" || problem.slug === "unreachable";
        const canWait = isDown && entry.calls < CALLS && entry !== song.asks.features && Object.values(song.asks).includes(entry);
        become(canWait ? "down" : "failed", { problem });
        if (problem.status >= 500 || problem.status === 401 || isDown) watch.look();
      }
    }, isFirst);
  }

  #changed(song) {
    this.dispatchEvent(new CustomEvent("change", { detail: song }));
  }
}

/** Whether an answer is still to come. */
export const isPending = ({ state }) => ["waiting", "asking", "retrying", "down"].includes(state);

/** Whether it has to be asked again, if it is to be had. */
export const isLost = ({ state }) => state === "failed" || state === "cancelled";

export const songs = new Songs();
