// Problems as text, with the server's message below.

import { make } from "./dom.js";
import { bytes, duration, has, t } from "./i18n.js";

const MALFORMED = ["bad-multipart", "bad-json", "bad-base64", "bad-query", "unsupported-content-type",
  "unsupported-content-encoding", "method-not-allowed"];
const ABSENT = ["unknown-model", "unknown-version"];

/** @param {import("./api.js").Problem} problem */
export function sentence({ slug, size, limits }) {
  if (slug === "body-too-large" && size > limits?.bytes) return t("problem-larger", { size: bytes(size), limit: bytes(limits.bytes) });
  if (slug === "audio-too-long" && Number.isFinite(limits?.seconds)) return t("problem-longer", { limit: duration(limits.seconds) });
  if (MALFORMED.includes(slug)) return t("problem-bad-request");
  if (ABSENT.includes(slug)) return t("problem-not-found");
  return t(has(`problem-${slug}`) ? `problem-${slug}` : "problem-unknown", { formats: t("formats") });
}

/** A sentence, and the server's message if there is one. */
export function explain(problem) {
  const box = make("div", { class: "problem", "data-testid": "problem", "data-slug": problem.slug }, make("p", {}, sentence(problem)));
  if (problem.detail) {
    const message = problem.status ? `${problem.status}: ${problem.detail}` : problem.detail;
    box.append(make("details", {}, make("summary", {}, t("problem-details")), make("p", { lang: "en" }, message)));
  }
  return box;
}
