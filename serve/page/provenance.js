// Where a prediction comes from: the model, what it was trained on, and how good it was.

import { make } from "./dom.js";
import { decimals, listed as together, modelName, number, t } from "./i18n.js";
import { watch } from "./models.js";

/** Fields of a description that say where its predictions come from. */
const FIELDS = ["origin", "trained_on", "evaluated", "warning", "members"];

/** What is known of the version that predicted: by the response, else by the list of models if that means the same version. */
function describe(name, model) {
  const status = watch.model(name);
  const listed = status?.version === model.version ? status : null;
  return Object.fromEntries(FIELDS.map((field) => [field, model[field] ?? listed?.[field] ?? null]));
}

/** That it came with the program, or nothing where it is one that was trained or put there. @param {{origin?: string | null}} model */
export function origin({ origin: from }) {
  return from === "embedded" || from === "fallback" ? t(`origin-${from}`) : null;
}

/** What it was trained on, or nothing where that is not known. @param {{trained_on?: any}} model */
export function training({ trained_on: data }) {
  if (!data) return null;
  const kind = data.synthetic ? "synthetic-clips" : "clips";
  const clips = data.clips === 1 ? t(`${kind}-1`) : t(`${kind}-n`, { n: number(data.clips) });
  return data.description ? t("trained-described", { clips, description: data.description }) : t("trained", { clips });
}

/** Which models an ensemble joins, each with the share that it counts; nothing of another model. @param {{members?: any}} model */
export function members({ members: joined }) {
  if (!joined?.length) return null;
  return t("joins", { members: together(joined.map(({ name, weight }) => `${modelName(name)} (${decimals(weight, 2)})`)) });
}

/** How good it was, or nothing where that is not known. @param {{evaluated?: any}} model */
export function accuracy({ evaluated }) {
  if (!evaluated) return null;
  const values = { accuracy: decimals(evaluated.accuracy, 3), split: evaluated.split };
  if (!evaluated.ci95) return t("evaluated", values);
  const [low, high] = evaluated.ci95.map((value) => decimals(value, 3));
  return t("evaluated-interval", { ...values, low, high });
}

/**
 * The line under a prediction, and a warning if there is one that the banner does not give.
 * @param {string} name of the model
 * @param {import("./labels.js").Prediction} prediction
 */
export function provenance(name, { model, labels }) {
  const known = describe(name, model);
  const parts = [origin(known), members(known), training(known), t("labels-n", { n: number(labels.length) }), accuracy(known)].filter(Boolean);
  const line = make("p", { class: "version soft", "data-testid": `provenance-${name}` },
    `${model.name} `, make("code", {}, model.version), ...parts.map((part) => ` · ${part}`));
  const isInBanner = known.trained_on?.synthetic;
  return known.warning && !isInBanner ? [make("p", { class: "note", lang: "en" }, known.warning), line] : [line];
}
