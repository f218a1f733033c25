// The models of the server and their status, polled.

import { Problem, models as fetchModels } from "./api.js";
import { registerAll } from "./labels.js";

/** The models that a server has unless it says otherwise, in the order of their columns. */
const USUAL = [
  { name: "svm", kind: "svm", predict: "/predict" },
  { name: "vgg19", kind: "vgg19", predict: "/vgg" },
];

/** The model that is chosen where it is ready, unless the user chooses others: the usual two as one. */
const ENSEMBLE = "ensemble";

/** Between two polls, in milliseconds: while all models are ready, and while one is down. */
const READY_INTERVAL = 20_000;
const DOWN_INTERVAL = 3_000;

/**
 * How much audio a request may hold: bytes of the body, and seconds once it is decoded. `Infinity` where the server does not say.
 * @typedef {{bytes: number, seconds: number}} Limits
 *
 * A model of the server. What it was trained on and how it was evaluated is `null` where the server does not say.
 * @typedef {{name: string, kind: string | null, predict: string, state: "ready" | "unavailable", version: string | null,
 *            origin: "artifacts" | "fallback" | "embedded" | null, problem: string | null, labels: string[], trained_on: any, evaluated: any, warning: string | null,
 *            members: {name: string, version: string, kind: string, weight: number}[], limits: Limits}} Model
 *
 * @param {any} model as `GET /v1/models` describes it
 * @returns {Model}
 */
function read(model) {
  const usual = USUAL.find(({ name }) => name === model.name);
  // Audio goes to this server alone, whatever a description says.
  const own = [model.predict, model.route].find((route) => /^\/(?!\/)/.test(route ?? ""));
  return {
    name: model.name,
    kind: model.kind ?? usual?.kind ?? null,
    predict: own ?? `/v1/models/${encodeURIComponent(model.name)}/predict`,
    state: model.state ?? (model.ready ? "ready" : "unavailable"),
    version: model.version ?? null,
    origin: model.origin ?? null,
    problem: model.problem ?? null,
    labels: model.labels ?? [],
    trained_on: model.trained_on ?? null,
    evaluated: model.evaluated ?? null,
    warning: model.warning ?? null,
    members: model.members ?? [],
    limits: { bytes: model.limits?.max_body_bytes ?? Infinity, seconds: model.limits?.max_seconds ?? Infinity },
  };
}

/** The ensemble first, then the usual models, then the others as the server lists them. */
const rank = ({ name }) => {
  if (name === ENSEMBLE) return -1;
  const at = USUAL.findIndex((usual) => usual.name === name);
  return at < 0 ? USUAL.length : at;
};

/** Polls the models. Fires `change` when something changed, `ready` with the name of each model that is ready. */
class Watch extends EventTarget {
  constructor() {
    super();
    /** @type {Model[]} every model that the server last reported, in the order of their columns: see `rank` */
    this.models = USUAL.map(read);
    /** @type {Map<string, Model>} those of the last poll; empty after one that failed */
    this.status = new Map();
    /** Whether the page's own server responds; `null` before the first poll. */
    this.isServerUp = null;
    /** Whether it was polled. */
    this.hasPolled = false;
    this.needsKey = false;
    this.timer = 0;
    this.checking = null;
  }

  /** Whether the models are `svm` and `vgg19`, and no other. */
  get isUsual() {
    return this.models.length === USUAL.length && this.models.every(({ name }, at) => name === USUAL[at].name);
  }

  /** Names of the models that requests are sent to unless the user chooses others. */
  get preselected() {
    if (this.model(ENSEMBLE)?.state === "ready") return [ENSEMBLE];
    const usual = this.models.filter(({ name }) => USUAL.some((usual) => usual.name === name));
    const ready = this.models.filter(({ state }) => state === "ready");
    const chosen = usual.length > 0 ? usual : (ready.length > 0 ? ready : this.models).slice(0, USUAL.length);
    return chosen.map(({ name }) => name);
  }

  /** @returns {Model | undefined} */
  model(name) {
    return this.models.find((model) => model.name === name);
  }

  /** What all of these models take. @returns {Limits} */
  limits(names) {
    const known = names.map((name) => this.model(name)?.limits).filter(Boolean);
    const least = (of) => Math.min(...known.map((limits) => limits[of]));
    return { bytes: least("bytes"), seconds: least("seconds") };
  }

  /** @returns {"ready" | "unavailable" | "unknown"} */
  state(name) {
    return this.status.get(name)?.state ?? (this.isServerUp ? "unavailable" : "unknown");
  }

  isDown(name) {
    return this.state(name) === "unavailable";
  }

  /** Whether the model can explain its prediction: it is a network, or an ensemble with one. */
  explains(name) {
    const model = this.model(name);
    return model?.kind === "vgg19" || Boolean(model?.members.some(({ kind }) => kind === "vgg19"));
  }

  /** Polls now, and then at an interval. */
  check() {
    this.checking ??= this.#check().finally(() => {
      this.checking = null;
      clearTimeout(this.timer);
      const isReady = this.isServerUp && this.models.every(({ name }) => this.state(name) === "ready");
      this.timer = setTimeout(() => this.check(), isReady ? READY_INTERVAL : DOWN_INTERVAL);
    });
    return this.checking;
  }

  async #check() {
    const signature = () => JSON.stringify([[...this.status], this.isServerUp, this.needsKey, this.hasPolled]);
    const before = signature();
    const down = this.models.filter(({ name }) => this.isDown(name)).map(({ name }) => name);
    try {
      const list = (await fetchModels()).map(read).sort((a, b) => rank(a) - rank(b));
      if (list.length > 0) this.models = list;
      registerAll(list.map(({ labels }) => labels));
      this.status = new Map(list.map((model) => [model.name, model]));
      this.isServerUp = true;
      this.needsKey = false;
    } catch (problem) {
      this.needsKey = problem instanceof Problem && problem.status === 401;
      this.isServerUp = this.needsKey ? null : problem instanceof Problem && problem.status > 0 && problem.status < 500;
      this.status = new Map();
    }
    this.hasPolled = true;
    if (signature() !== before) this.dispatchEvent(new Event("change"));
    for (const { name } of this.models) {
      if (this.state(name) !== "ready") continue;
      this.dispatchEvent(new CustomEvent("ready", { detail: { name, wasDown: down.includes(name) } }));
    }
  }
}

export const watch = new Watch();
