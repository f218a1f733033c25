// The status of the models, polled.

import { Problem, models as fetchModels } from "./api.js";

/** The models that the page knows, in the order of their columns, with their routes. */
export const MODELS = [
  { name: "svm", route: "/predict" },
  { name: "vgg19", route: "/vgg" },
];

/** Between two polls, in milliseconds: while all models are ready, and while one is down. */
const READY_INTERVAL = 20_000;
const DOWN_INTERVAL = 3_000;

/** Polls the models. Fires `change` when something changed, `ready` with the name of each model that is ready. */
class Watch extends EventTarget {
  constructor() {
    super();
    /** @type {Map<string, {state: string, version: string | null, problem: string | null, labels: string[]}>} */
    this.status = new Map();
    /** Whether the page's own server responds; `null` before the first poll. */
    this.isServerUp = null;
    this.needsKey = false;
    this.timer = 0;
    this.checking = null;
  }

  /** @returns {"ready" | "unavailable" | "unknown"} */
  state(name) {
    return /** @type {any} */ (this.status.get(name)?.state ?? (this.isServerUp ? "unavailable" : "unknown"));
  }

  isDown(name) {
    return this.state(name) === "unavailable";
  }

  /** Polls now, and then at an interval. */
  check() {
    this.checking ??= this.#check().finally(() => {
      this.checking = null;
      clearTimeout(this.timer);
      const isReady = this.isServerUp && MODELS.every(({ name }) => this.state(name) === "ready");
      this.timer = setTimeout(() => this.check(), isReady ? READY_INTERVAL : DOWN_INTERVAL);
    });
    return this.checking;
  }

  async #check() {
    const before = JSON.stringify([[...this.status], this.isServerUp, this.needsKey]);
    const down = MODELS.filter(({ name }) => this.state(name) === "unavailable");
    try {
      const list = await fetchModels();
      this.status = new Map(list.map((model) => [model.name, model]));
      this.isServerUp = true;
      this.needsKey = false;
    } catch (problem) {
      this.needsKey = problem instanceof Problem && problem.status === 401;
      this.isServerUp = this.needsKey ? null : problem instanceof Problem && problem.status > 0 && problem.status < 500;
      this.status = new Map();
    }
    if (JSON.stringify([[...this.status], this.isServerUp, this.needsKey]) !== before) {
      this.dispatchEvent(new Event("change"));
    }
    for (const { name } of MODELS) {
      if (this.state(name) !== "ready") continue;
      const wasDown = down.some((model) => model.name === name);
      this.dispatchEvent(new CustomEvent("ready", { detail: { name, wasDown } }));
    }
  }
}

export const watch = new Watch();
