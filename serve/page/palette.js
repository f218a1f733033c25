// Colours that everyone can tell apart; each comes with a word or a number.

import { indexOf } from "./labels.js";
import { isDark } from "./theme.js";

// Paul Tol's “muted” scheme, moved in lightness so that each stands out 3 : 1 from the ground of its theme.
const ON_LIGHT = ["#332288", "#2d86b8", "#b5602d", "#117733", "#7d7d1f", "#cc5c70", "#882255", "#1f8a7a", "#aa4499", "#6f6a63"];
const ON_DARK = ["#9a90f0", "#88ccee", "#e69f6b", "#5fbf7f", "#c6c65a", "#f09aa8", "#d0638f", "#4dbba9", "#d58fca", "#b5afa6"];

/** Between the hues of two neighbours, in degrees: the golden angle, which keeps any number of them apart. */
const GOLDEN = 180 * (3 - Math.sqrt(5));
// Of the colours that are made, in OKLCH: three lightnesses by turns, which all stand out 3 : 1 from the ground of the theme.
const LIGHTNESS_ON_LIGHT = [0.42, 0.59, 0.51];
const LIGHTNESS_ON_DARK = [0.68, 0.86, 0.77];
const CHROMA = 0.13;

/** @type {Map<boolean, string[]>} colours that were made, by theme and index */
const made = new Map([[false, []], [true, []]]);

/** A colour for each label of any model: always the same one, as long as the page is open. */
export const labelColour = (label) => colourOf(indexOf(label));

/**
 * The colour of the label of that index: ten that were chosen, then any number that are made.
 * @param {number} index from 0
 * @param {boolean} [dark] the theme
 */
export function colourOf(index, dark = isDark()) {
  const chosen = dark ? ON_DARK : ON_LIGHT;
  if (index < chosen.length) return chosen[index];
  const lightness = dark ? LIGHTNESS_ON_DARK : LIGHTNESS_ON_LIGHT;
  const colours = /** @type {string[]} */ (made.get(dark));
  colours[index] ??= oklch(lightness[index % lightness.length], CHROMA, index * GOLDEN);
  return colours[index];
}

/**
 * A colour of OKLCH (Ottosson 2020) as `#rrggbb`; one that sRGB does not have with less chroma.
 * @param {number} lightness 0 to 1
 * @param {number} chroma from 0
 * @param {number} hue in degrees
 */
function oklch(lightness, chroma, hue) {
  const [a, b] = [Math.cos, Math.sin].map((part) => chroma * part((hue * Math.PI) / 180));
  const long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const short = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const linear = [
    4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
    -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
    -0.0041960863 * long - 0.7034186147 * medium + 1.707614701 * short,
  ];
  if (chroma > 0.001 && linear.some((part) => part < 0 || part > 1)) return oklch(lightness, 0.95 * chroma, hue);
  const encoded = linear.map((part) => {
    const share = Math.min(1, Math.max(0, part));
    return Math.round(255 * (share <= 0.0031308 ? 12.92 * share : 1.055 * share ** (1 / 2.4) - 0.055));
  });
  return `#${encoded.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
}

/** How bright a colour is, 0 to 1: the relative luminance of WCAG 2. */
export function luminance(colour) {
  const [r, g, b] = rgb(colour).map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Black or white, whichever can be read on a colour. */
export const inkOn = (colour) => (luminance(colour) > 0.179 ? "#000000" : "#ffffff");

const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

/** 256 colours between stops that are equally far apart. */
function ramp(stops) {
  const colours = stops.map(rgb);
  const table = new Uint8ClampedArray(3 * 256);
  for (let level = 0; level < 256; level += 1) {
    const at = (level / 255) * (colours.length - 1);
    const below = Math.min(colours.length - 2, Math.floor(at));
    for (let part = 0; part < 3; part += 1) {
      const [low, high] = [colours[below][part], colours[below + 1][part]];
      table[3 * level + part] = low + (high - low) * (at - below);
    }
  }
  return table;
}

// matplotlib's “magma” and “inferno” (CC0): lightness rises evenly, so that they are readable in grey and with colour blindness.
/** For loudness. */
export const MAGMA = ramp(["#000004", "#140e36", "#3b0f70", "#641a80", "#8c2981", "#b73779", "#de4968", "#f7705c", "#fe9f6d", "#fecf92", "#fcfdbf"]);
/** For loudness, under a map in colour. */
export const GREY = ramp(["#08080a", "#66666b", "#c2c2c6"]);
/** For weights: the upper part of inferno. */
export const INFERNO = ramp(["#420a68", "#6a176e", "#932667", "#bc3754", "#dd513a", "#f37819", "#fca50a", "#f6d746", "#fcffa4"]);
