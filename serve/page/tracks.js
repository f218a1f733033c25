// The tracks on the page, and the requests and predictions of each.

import { Problem, analyse, explanation, mayPass } from "./api.js";
import { readPrediction } from "./labels.js";
import { watch } from "./models.js";
import { Queue } from "./queue.js";
import { notKept, restore, store } from "./store.js";

/** Concurrent requests. */
const CONCURRENCY = 2;
/** How often a request is sent while the server of its model is down, before it has failed. */
const MAX_ATTEMPTS = 4;
/** Log-mels and waveforms of tracks that are not open are kept up to so many values; others are requested anew. */
const MAX_VALUES = 16 << 20;

/**
 * What is requested of a track. `down` waits for the server of its model; `sent` is the share of the file that was uploaded, 0 to 1.
 * @typedef {"idle" | "waiting" | "running" | "retrying" | "done" | "failed" | "down" | "cancelled"} State
 * @typedef {{state: State, value: any, problem: Problem | null, seconds: number, sent: number, attempts: number,
 *            controller: AbortController | null}} Request
 */

/** @param {Partial<Request>} [more] @returns {Request} */
export const newRequest = (more = {}) =>
  ({ state: "idle", value: null, problem: null, seconds: 0, sent: 0, attempts: 0, controller: null, ...more });

let nextId = 1;

/** A file and its results. */
export class Track {
  /**
   * @param {{name: string, size: number, lastModified: number}} file
   * @param {boolean} [isExample] whether the page made it
   */
  constructor(file, isExample = false) {
    this.id = nextId++;
    /** @type {File | null} not there after the page was reloaded */
    this.file = file instanceof File ? file : null;
    const { name, size, lastModified } = file;
    /** What tells one file from another. */
    this.source = { name, size, lastModified };
    this.isExample = isExample;
    /** Log-mel and waveform. */
    this.features = newRequest();
    /** @type {Map<string, Request>} by the name of the model */
    this.predictions = new Map();
    /** @type {Map<string, Request>} by model and label, or `predicted` */
    this.explanations = new Map();
  }

  get name() {
    return this.source.name;
  }

  /** Whether it is the track of that file. */
  isOf({ name, size, lastModified }) {
    return this.name === name && this.source.size === size && this.source.lastModified === lastModified;
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

/**
 * The list of tracks. Fires `change` with the track that changed, or without one when the list did. Its results outlast a reload of
 * the page in the same tab, the audio does not.
 */
class Tracks extends EventTarget {
  constructor() {
    super();
    const stored = restore((file, isExample) => new Track(file, isExample), newRequest);
    /** @type {Track[]} */
    this.list = stored.list;
    /** @type {Track | null} the one that is open */
    this.open = stored.open;
    /** @type {string[]} names of the models that requests are sent to, in the order of their columns */
    this.selected = stored.selected ?? watch.preselected;
    /** Whether the user has selected them. */
    this.isChosen = stored.selected !== null;
    this.queue = new Queue(CONCURRENCY);
    watch.addEventListener("change", () => this.#reconcile());
    watch.addEventListener("ready", (event) => this.#resume(event.detail.name));
    /** What of the results was too much to outlast a reload. @type {"segments" | "all" | null} */
    this.lost = stored.lost;
    // A tab that is hidden may be ended without another event.
    addEventListener("pagehide", () => store(this));
    document.addEventListener("visibilitychange", () => document.hidden && store(this));
  }

  /**
   * Adds files; one whose results outlasted a reload is that track's again.
   * @param {Iterable<File>} files
   * @param {boolean} [areExamples]
   */
  add(files, areExamples = false) {
    const added = [...files].map((file) => this.#regain(file) ?? new Track(file, areExamples));
    this.list.push(...added.filter((track) => !this.list.includes(track)));
    this.#changed(null);
    for (const track of added) this.#request(track, false);
    return added;
  }

  /** The track without audio that was made of this file, which gets it. */
  #regain(file) {
    const track = this.list.find((each) => !each.file && each.isOf(file));
    if (!track) return null;
    track.file = file;
    for (const [name, { problem }] of track.predictions) if (problem?.slug === notKept) track.predictions.set(name, newRequest());
    track.features = newRequest();
    track.explanations.clear();
    return track;
  }

  /** Opens a track. */
  show(track) {
    this.open = track;
    this.#changed(null);
    if (track) this.#request(track, true);
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
    if (this.open) this.#request(this.open, true);
    for (const track of this.list) this.#request(track, false);
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
    this.lost = null;
    this.#changed(null);
  }

  /** Repeats what was cancelled, or failed and may succeed now: of one track, or of all. */
  retry(track = null) {
    for (const each of track ? [track] : this.list) {
      for (const [name, entry] of each.predictions) if (canRetry(entry)) each.predictions.set(name, newRequest());
      if (canRetry(each.features)) each.features = newRequest();
      this.#request(each, each === this.open);
    }
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
    this.#send(track, [entry], [name], true, async (options) => {
      const map = await explanation(model.predict, track.file, label, options);
      if (label === "predicted") track.setExplanation(name, map.genre, entry);
      return [map];
    });
  }

  /**
   * Sends a track to the selected models that it was not sent to, for its log-mel and waveform too: all with one upload.
   * @param {Track} track
   * @param {boolean} isFirst before the requests of other tracks
   */
  #request(track, isFirst) {
    // Which models there are, and what they take, is known after the first poll.
    if (!watch.hasPolled) return;
    const models = watch.models.filter(({ name }) => this.selected.includes(name) && track.prediction(name).state === "idle");
    const asked = models.filter(({ name }) => !watch.isDown(name));
    for (const { name } of models) if (watch.isDown(name)) track.prediction(name).state = "down";
    if (asked.length < models.length) this.#changed(track);
    const hasFeatures = track.features.state === "idle" && (asked.length > 0 || track === this.open);
    if (asked.length === 0 && !hasFeatures) return;
    const entries = [...asked.map(({ name }) => track.prediction(name)), ...(hasFeatures ? [track.features] : [])];
    // The server of any model may compute the features.
    const names = (asked.length > 0 ? asked : watch.models).map(({ name }) => name);
    this.#send(track, entries, names, isFirst, async (options) => {
      const { predictions, features } = await analyse(track.file, asked.map(({ name }) => name), hasFeatures, options);
      const read = ({ name, labels }) => {
        const response = predictions.get(name);
        return response instanceof Problem ? response : readPrediction(response, labels);
      };
      return [...asked.map(read), ...(hasFeatures ? [features] : [])];
    });
  }

  /** Sends the requests that waited for the server of a model. */
  #resume(name) {
    for (const track of this.list) {
      const due = [track.prediction(name), track.features].filter(({ state }) => state === "down");
      if (due.length === 0) continue;
      for (const entry of due) entry.state = "idle";
      this.#request(track, track === this.open);
    }
  }

  /**
   * Sends a request; a file that is larger than its server takes fails at once, and is not sent.
   * @param {Track} track
   * @param {Request[]} entries that the response is for
   * @param {string[]} models whose servers may get it
   * @param {boolean} isFirst
   * @param {(options: object) => Promise<any[]>} send gives a value, or a `Problem`, for each of the entries
   */
  #send(track, entries, models, isFirst, send) {
    const become = (state, more = {}) => {
      for (const entry of entries) Object.assign(entry, { state, ...more });
      this.#changed(track);
    };
    if (!track.file) return become("failed", { problem: new Problem({ slug: notKept, status: 410 }) });
    const { size } = track.file;
    const limits = watch.limits(models);
    if (size > limits.bytes) {
      return become("failed", { problem: new Problem({ slug: "body-too-large", status: 413 }).about(size, limits) });
    }
    become("waiting", { controller: new AbortController(), sent: 0 });
    this.queue.add(async () => {
      const [{ state, controller }] = entries;
      if (state !== "waiting") return; // cancelled meanwhile
      const { signal } = controller;
      let values;
      try {
        values = await send({
          signal,
          onSend: () => become("running", { sent: 0 }),
          onUpload: (sent) => become("running", { sent }),
          onWait: (seconds) => become("retrying", { seconds }),
        });
      } catch (error) {
        if (signal.aborted) return;
        const problem = error instanceof Problem ? error : new Problem({ slug: "unknown", detail: String(error) });
        values = entries.map(() => problem);
      }
      entries.forEach((entry, at) => this.#settle(track, entry, values[at], size, limits));
      this.#trim();
      this.#changed(track);
    }, isFirst);
  }

  /** Gives an entry what came for it. */
  #settle(track, entry, value, size, limits) {
    if (!(value instanceof Problem)) return Object.assign(entry, { state: "done", value, problem: null });
    const problem = value.about(size, limits);
    entry.attempts += 1;
    const isDown = problem.slug === "backend-unavailable" || problem.slug === "unreachable";
    const canWait = isDown && entry.attempts < MAX_ATTEMPTS && ![...track.explanations.values()].includes(entry);
    Object.assign(entry, { state: canWait ? "down" : "failed", problem });
    if (problem.status >= 500 || problem.status === 401 || isDown) watch.check();
  }

  /** Drops log-mels and waveforms of tracks that are not open, the oldest first, where there are too many. */
  #trim() {
    const sizeOf = ({ features: { value } }) => (value ? value.logMel.values.length + 2 * value.waveform.min.length : 0);
    let size = this.list.reduce((sum, track) => sum + sizeOf(track), 0);
    for (const track of this.list) {
      if (size <= MAX_VALUES) return;
      if (track === this.open || !track.features.value) continue;
      size -= sizeOf(track);
      track.features = newRequest();
    }
  }

  #changed(track) {
    this.dispatchEvent(new CustomEvent("change", { detail: track }));
  }
}

/** Whether a response is still to come. */
export const isPending = ({ state }) => ["waiting", "running", "retrying", "down"].includes(state);

/** Whether to repeat it may help. @param {Request} request */
export const canRetry = ({ state, problem }) => state === "cancelled" || (state === "failed" && mayPass(problem));

export const tracks = new Tracks();
