// The tracks on the page, and the requests and predictions of each.

import { Problem, explanation, features, post } from "./api.js";
import { MODELS, watch } from "./models.js";
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
    /** @type {Record<string, Request>} by model, and `features` */
    this.requests = { svm: newRequest(), vgg19: newRequest(), features: newRequest() };
    /** @type {Map<string, Request>} by label, or `predicted` */
    this.explanations = new Map();
  }

  /** The decoded audio, once a response describes it. */
  get audio() {
    const done = Object.values(this.requests).find((entry) => entry.value);
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
    /** Names of the models that requests are sent to. */
    this.selected = MODELS.map(({ name }) => name);
    this.queue = new Queue(CONCURRENCY);
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
    if (track.requests.features.state === "idle") this.requestFeatures(track);
    this.#requestModels(track, true);
  }

  /** Sends requests to these models from now on. */
  select(names) {
    this.selected = names;
    this.#changed(null);
    if (this.open) this.#requestModels(this.open, true);
    for (const track of this.list) this.#requestModels(track, false);
  }

  /** Cancels every request. */
  cancel() {
    for (const track of this.list) {
      for (const entry of [...Object.values(track.requests), ...track.explanations.values()]) {
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
      for (const { name } of MODELS) if (canRetry(each.requests[name])) each.requests[name] = newRequest();
      this.#requestModels(each, each === this.open);
      if (canRetry(each.requests.features)) {
        each.requests.features = newRequest();
        if (each === this.open) this.requestFeatures(each);
      }
    }
  }

  /** Requests log-mel and waveform. */
  requestFeatures(track) {
    this.#request(track, track.requests.features, true, (options) => features(track.file, options));
  }

  /**
   * Requests VGG19's Grad-CAM map for a label, or for the predicted one (`predicted`), unless that was done before.
   * @param {boolean} [isRetry] repeats it if it failed before
   */
  requestExplanation(track, label, isRetry = false) {
    const known = track.explanations.get(label);
    if (known && !(isRetry && canRetry(known))) return;
    const entry = newRequest();
    track.explanations.set(label, entry);
    this.#request(track, entry, true, async (options) => {
      const map = await explanation(track.file, label, options);
      if (label === "predicted") track.explanations.set(map.genre, entry);
      return map;
    });
  }

  #requestModels(track, isFirst) {
    for (const { name, route } of MODELS) {
      const entry = track.requests[name];
      if (!this.selected.includes(name) || entry.state !== "idle") continue;
      if (watch.isDown(name)) {
        entry.state = "down";
        this.#changed(track);
        continue;
      }
      this.#request(track, entry, isFirst, (options) => post(route, track.file, options));
    }
  }

  /** Sends the requests that waited for the server of a model. */
  #resume(name) {
    for (const track of this.list) {
      const entry = track.requests[name];
      if (entry.state !== "down") continue;
      entry.state = "idle";
      this.#requestModels(track, track === this.open);
    }
  }

  /**
   * @param {Track} track
   * @param {Request} entry
   * @param {boolean} isFirst
   * @param {(options: object) => Promise<any>} send
   */
  #request(track, entry, isFirst, send) {
    const become = (state, more = {}) => {
      Object.assign(entry, { state, ...more });
      this.#changed(track);
    };
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
        const problem = error instanceof Problem ? error : new Problem({ slug: "unknown", detail: String(error) });
        entry.attempts += 1;
        const isDown = problem.slug === "backend-unavailable" || problem.slug === "unreachable";
        const canWait = isDown && entry.attempts < MAX_ATTEMPTS && entry !== track.requests.features && Object.values(track.requests).includes(entry);
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
