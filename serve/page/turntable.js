// The turntable: the record turns while the track plays, and the arm shows its position.

import { byId } from "./dom.js";

/** Degrees clockwise from straight down: at rest, over the first groove, over the last. */
const [REST, FIRST, LAST] = [3, 29, 48.5];

/** @param {number | null} played share of the track; null puts the arm on its rest */
export function moveArm(share) {
  const degrees = share === null ? REST : FIRST + Math.max(0, Math.min(1, share)) * (LAST - FIRST);
  byId("arm").style.transform = `rotate(${degrees.toFixed(2)}deg)`;
}

/** @param {boolean} isOn */
export function turn(isOn) {
  byId("turntable").classList.toggle("turns", isOn);
}

/** What is printed on the record. */
export function print(genre, model) {
  byId("print-genre").textContent = genre;
  byId("print-model").textContent = model;
}
