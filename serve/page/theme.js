// Light or dark: the system's choice, until the user makes one here.

const STORAGE_KEY = "tonearm-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

/** Fires `change` when the colours do. */
export const themes = new EventTarget();

let chosen = read();

function read() {
  try {
    return localStorage.getItem(STORAGE_KEY);
  } catch {
    return null; // storage may be forbidden; the system's choice holds
  }
}

/** Whether the page is dark now. */
export const isDark = () => (chosen ? chosen === "dark" : system.matches);

function apply() {
  document.documentElement.dataset.theme = isDark() ? "dark" : "light";
  themes.dispatchEvent(new Event("change"));
}

/** From light to dark and back; stored in this browser. */
export function toggle() {
  chosen = isDark() ? "light" : "dark";
  try {
    localStorage.setItem(STORAGE_KEY, chosen);
  } catch {
    // not stored, then
  }
  apply();
}

/** A colour of the style sheet, such as `--ink`. */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

system.addEventListener("change", apply);
apply();
