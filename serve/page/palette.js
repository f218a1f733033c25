// Colours that everyone can tell apart; each comes with a word or a number.

import { isDark } from "./theme.js";

// Paul Tol's “muted” scheme, moved in lightness so that each stands out 3 : 1 from the ground of its theme.
const ON_LIGHT = ["#332288", "#2d86b8", "#b5602d", "#117733", "#7d7d1f", "#cc5c70", "#882255", "#1f8a7a", "#aa4499", "#6f6a63"];
const ON_DARK = ["#9a90f0", "#88ccee", "#e69f6b", "#5fbf7f", "#c6c65a", "#f09aa8", "#d0638f", "#4dbba9", "#d58fca", "#b5afa6"];

/**
 * A colour for each label, by its index in the list of labels.
 * @param {string[]} labels
 * @param {string} label
 */
export function genreColour(labels, label) {
  const colours = isDark() ? ON_DARK : ON_LIGHT;
  return colours[Math.max(0, labels.indexOf(label)) % colours.length];
}

/** Black or white, whichever can be read on a colour. */
export function inkOn(colour) {
  const [r, g, b] = rgb(colour).map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000000" : "#ffffff";
}

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
