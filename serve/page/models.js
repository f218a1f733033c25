// Which models answer, looked at again and again.

import { Problem, models as fetchModels } from "./api.js";

/** The models that the page knows, in the order of their columns, with the routes that answer for a song. */
export const MODELS = [
  { name: "svm", route: "/predict" },
  { name: "vgg19", route: "/vgg" },
];

/** Between two looks, in milliseconds: while all is well, and while something is down. */
const CALM = 20_000;
const UNEASY = 3_000;

/** Watches the models. Fires `change` when something changed, `back` with a model's name when it answers again. */
class Watch extends EventTarget {
  constructor() {
    super();
    /** @type {Map<string, {state: string, version: string | null, problem: string | null, labels: string[]}>} */
    this.status = new Map();
    /** Whether the page's own server answers; `null` before the first look. */
    this.isServerUp = null;
    this.needsKey = false;
    this.timer = 0;
    this.looking = null;
  }

  /** @returns {"ready" | "unavailable" | "unknown"} */
  state(name) {
    return /** @type {any} */ (this.status.get(name)?.state ?? (this.isServerUp ? "unavailable" : "unknown"));
  }

  isDown(name) {
    return this.state(name) === "unavailable";
  }

  /** Looks now, and then from time to time. */
  look() {
    this.looking ??= this.#look().finally(() => {
      this.looking = null;
      clearTimeout(this.timer);
      const isWell = this.isServerUp && MODELS.every(({ name }) => this.state(name) === "ready");
      this.timer = setTimeout(() => this.look(), isWell ? CALM : UNEASY);
    });
    return this.looking;
  }

  async #look() {
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
