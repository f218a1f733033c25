// Helpers for the document.

import { current } from "./i18n.js";

/** The element with that id, which the page has. */
export const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * Makes an element: properties are set as attributes, but `on…` as listeners; children are nodes or text.
 * @param {string} tag
 * @param {Record<string, unknown>} [properties]
 * @param {...(Node | string | null | undefined)} children
 * @returns {HTMLElement}
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Redraws an element, unless it was drawn from the same in the same language. */
export function redraw(element, signature, children) {
  const text = JSON.stringify([signature, current()]);
  if (element.dataset.signature === text) return;
  element.dataset.signature = text;
  element.replaceChildren(...children());
}

/** Calls `work` with the next frame, or soon where no frame comes because the page is hidden. */
export function later(work) {
  if (document.hidden) setTimeout(work, 50);
  else requestAnimationFrame(work);
}

/** A function that attempts `work` later, once for all its attempts until then. */
export function coalesced(work) {
  let isDue = false;
  return () => {
    if (isDue) return;
    isDue = true;
    later(() => {
      isDue = false;
      work();
    });
  };
}

/** Tells users of a screen reader. */
export function announce(text) {
  byId("announcer").textContent = text;
}
