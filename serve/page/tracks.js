// The tracks on the page, and the requests and predictions of each.

import { Problem, explanation, features, post } from "./api.js";
import { readPrediction } from "./labels.js";
import { watch } from "./models.js";
import { Queue } from "./queue.js";

/** Concurrent requests. */
const CONCURRENCY = 2;
/** How often a request is sent while the server of its model is down, before it has failed. */
const MAX_ATTEMPTS = 4;

/**
 * A request about a track. `down` waits for the server of its model.
 * @typedef {"idle" | "waiting" | "running" | "retrying" | "done" | "failed" | "down" | "cancelled"} State
 * @typedef {{state: State, value: any, problem: Problem | null, seconds: number, attempts: number,
 *            controller: AbortController | null}} Request
 */

/** @returns {Request} */
const newRequest = () => ({ state: "idle", value: null, problem: null, seconds: 0, attempts: 0, controller: null });

let nextId = 1;

/** A file and its results. */
export class Track {
  /** @param {File} file */
  constructor(file) {
    this.id = nextId++;
    this.file = file;
    this.name = file.name;
    /** Log-mel and waveform. */
    this.features = newRequest();
    /** @type {Map<string, Request>} by the name of the model */
    this.predictions = new Map();
    /** @type {Map<string, Request>} by model and label, or `predicted` */
    this.explanations = new Map();
  }

  /** The request to a model. */
  prediction(name) {
    const entry = this.predictions.get(name) ?? newRequest();
    this.predictions.set(name, entry);
    return entry;
  }

  /** The request for an explanation, if it was sent. */
  explanation(name, label) {
    return this.explanations.get(JSON.stringify([name, label]));
  }

  setExplanation(name, label, entry) {
    this.explanations.set(JSON.stringify([name, label]), entry);
  }

  /** Every request that may have been sent. */
  get requests() {
    return [this.features, ...this.predictions.values(), ...this.explanations.values()];
  }

  /** The decoded audio, once a response describes it. */
  get audio() {
    const done = [...this.predictions.values(), this.features].find((entry) => entry.value);
    return done?.value.audio ?? null;
  }

  /** Length in seconds; 0 while unknown. */
  get seconds() {
    return this.audio?.seconds ?? 0;
  }
}

/** The list of tracks. Fires `change` with the track that changed, or without one when the list did. */
class Tracks extends EventTarget {
  constructor() {
    super();
    /** @type {Track[]} */
    this.list = [];
    /** @type {Track | null} the one that is open */
    this.open = null;
    /** @type {string[]} names of the models that requests are sent to, in the order of their columns */
    this.selected = watch.preselected;
    /** Whether the user has selected them. */
    this.isChosen = false;
    this.queue = new Queue(CONCURRENCY);
    watch.addEventListener("change", () => this.#reconcile());
    watch.addEventListener("ready", (event) => this.#resume(event.detail.name));
  }

  /** @param {Iterable<File>} files */
  add(files) {
    const added = [...files].map((file) => new Track(file));
    this.list.push(...added);
    this.#changed(null);
    for (const track of added) this.#requestModels(track, false);
    return added;
  }

  /** Opens a track. */
  show(track) {
    this.open = track;
    this.#changed(null);
    if (!track) return;
    this.#requestFeatures(track);
    this.#requestModels(track, true);
  }

  /** Sends requests to these models from now on. */
  select(names) {
    this.isChosen = true;
    this.#use(names);
  }

  #use(names) {
    this.selected = watch.models.map(({ name }) => name).filter((name) => names.includes(name));
    this.#changed(null);
    this.#requestAll();
  }

  /** Requests that were not sent yet: first those of the open track. */
  #requestAll() {
    if (this.open) {
      this.#requestFeatures(this.open);
      this.#requestModels(this.open, true);
    }
    for (const track of this.list) this.#requestModels(track, false);
  }

  /** After the models of the server have changed: the selection stays as far as its models are there. */
  #reconcile() {
    const left = this.selected.filter((name) => watch.model(name));
    const isUsual = !this.isChosen && watch.models.some(({ name }) => watch.preselected.includes(name) && !left.includes(name));
    const names = left.length === 0 || isUsual ? watch.preselected : left;
    if (names.join() === this.selected.join()) this.#requestAll();
    else this.#use(names);
  }

  /** Cancels every request. */
  cancel() {
    for (const track of this.list) {
      for (const entry of track.requests) {
        if (!isPending(entry)) continue;
        entry.state = "cancelled";
        entry.controller?.abort();
      }
      this.#changed(track);
    }
  }

  /** Removes every track. */
  clear() {
    this.cancel();
    this.list = [];
    this.open = null;
    this.#changed(null);
  }

  /** Repeats what was cancelled or failed: of one track, or of all. */
  retry(track = null) {
    for (const each of track ? [track] : this.list) {
      for (const [name, entry] of each.predictions) if (canRetry(entry)) each.predictions.set(name, newRequest());
      this.#requestModels(each, each === this.open);
      if (canRetry(each.features)) {
        each.features = newRequest();
        if (each === this.open) this.#requestFeatures(each);
      }
    }
  }

  /** Requests log-mel and waveform, which the server of any model may compute. */
  #requestFeatures(track) {
    // What the servers take is known after the first poll.
    if (!watch.hasPolled || track.features.state !== "idle") return;
    const models = watch.models.map(({ name }) => name);
    this.#request(track, track.features, models, true, (options) => features(track.file, options));
  }

  /**
   * Requests the Grad-CAM map of a network for a label, or for the predicted one (`predicted`), unless that was done before.
   * @param {boolean} [isRetry] repeats it if it failed before
   */
  requestExplanation(track, name, label, isRetry = false) {
    const known = track.explanation(name, label);
    const model = watch.model(name);
    if (!model || (known && !(isRetry && canRetry(known)))) return;
    const entry = newRequest();
    track.setExplanation(name, label, entry);
    this.#request(track, entry, [name], true, async (options) => {
      const map = await explanation(model.predict, track.file, label, options);
      if (label === "predicted") track.setExplanation(name, map.genre, entry);
      return map;
    });
  }

  #requestModels(track, isFirst) {
    // Which models there are is known after the first poll.
    if (!watch.hasPolled) return;
    for (const { name, predict, labels } of watch.models) {
      if (!this.selected.includes(name)) continue;
      const entry = track.prediction(name);
      if (entry.state !== "idle") continue;
      if (watch.isDown(name)) {
        entry.state = "down";
        this.#changed(track);
        continue;
      }
      this.#request(track, entry, [name], isFirst, async (options) => readPrediction(await post(predict, track.file, options), labels));
    }
  }

  /** Sends the requests that waited for the server of a model. */
  #resume(name) {
    for (const track of this.list) {
      const entry = track.prediction(name);
      if (entry.state !== "down") continue;
      entry.state = "idle";
      this.#requestModels(track, track === this.open);
    }
  }

  /**
   * Sends a request; a file that is larger than its server takes fails at once, and is not sent.
   * @param {Track} track
   * @param {Request} entry
   * @param {string[]} models whose servers may get it
   * @param {boolean} isFirst
   * @param {(options: object) => Promise<any>} send
   */
  #request(track, entry, models, isFirst, send) {
    const become = (state, more = {}) => {
      Object.assign(entry, { state, ...more });
      this.#changed(track);
    };
    const { size } = track.file;
    const limits = watch.limits(models);
    if (size > limits.bytes) {
      return become("failed", { problem: new Problem({ slug: "body-too-large", status: 413 }).about(size, limits) });
    }
    become("waiting", { controller: new AbortController() });
    this.queue.add(async () => {
      if (entry.state !== "waiting") return; // cancelled meanwhile
      const { signal } = entry.controller;
      try {
        const value = await send({
          signal,
          onSend: () => become("running"),
          onWait: (seconds) => become("retrying", { seconds }),
        });
        become("done", { value });
      } catch (error) {
        if (signal.aborted) return;
        const problem = (error instanceof Problem ? error : new Problem({ slug: "unknown", detail: String(error) })).about(size, limits);
        entry.attempts += 1;
        const isDown = problem.slug === "backend-unavailable" || problem.slug === "unreachable";
        const canWait = isDown && entry.attempts < MAX_ATTEMPTS && [...track.predictions.values()].includes(entry);
        become(canWait ? "down" : "failed", { problem });
        if (problem.status >= 500 || problem.status === 401 || isDown) watch.check();
      }
    }, isFirst);
  }

  #changed(track) {
    this.dispatchEvent(new CustomEvent("change", { detail: track }));
  }
}

/** Whether a response is still to come. */
export const isPending = ({ state }) => ["waiting", "running", "retrying", "down"].includes(state);

/** Whether it can be repeated. */
export const canRetry = ({ state }) => state === "failed" || state === "cancelled";

export const tracks = new Tracks();
