// The timeline of a model with its caption, and a legend where there are many labels.

import { make } from "./dom.js";
import { clock, genre, modelName, number, t, worded } from "./i18n.js";
import { ALL_SHOWN, SHOWN_FIRST, areGenres } from "./labels.js";
import { labelColour } from "./palette.js";
import { bands, drawTimeline, intervals, layers, othersColour } from "./timeline.js";

export class TimelinePanel {
  /**
   * @param {string} name of the model
   * @param {() => void} onChange draws it again
   */
  constructor(name, onChange) {
    this.name = name;
    /** Whether every label of many has its layer. */
    this.isExpanded = false;
    this.title = make("strong", {});
    this.about = make("span", { class: "soft" });
    this.canvas = /** @type {HTMLCanvasElement} */ (make("canvas", { id: `timeline-${name}`, role: "img", "data-testid": `timeline-${name}` }));
    this.list = make("ul", { id: `legend-${name}`, class: "swatches", "data-testid": `legend-${name}` });
    this.more = make("button", { type: "button", class: "link", "aria-controls": `legend-${name}`, "data-testid": `legend-more-${name}`, onclick: () => {
      this.isExpanded = !this.isExpanded;
      onChange();
    } });
    this.legend = make("div", { class: "labels-legend" }, this.list, this.more);
    this.figure = make("figure", {},
      make("figcaption", {}, this.title, this.about),
      make("div", { class: "plot middle" }, this.canvas, make("span", { class: "cursor" })),
      this.legend);
  }

  /**
   * The panel has to be on the page.
   * @param {import("./labels.js").Prediction} prediction
   * @param {number} duration of the axis, in seconds
   * @param {boolean} isLast whether the axis gets its title
   */
  draw({ labels, segments }, duration, isLast) {
    const model = modelName(this.name);
    const found = intervals(segments);
    const shown = layers(found, labels.length, this.isExpanded);
    const isOfGenres = areGenres(labels);
    this.title.textContent = worded("timeline-of", { model }, isOfGenres);
    this.about.textContent = worded("timeline-about", {}, isOfGenres);
    this.#drawLegend(labels, shown, model);
    drawTimeline(this.canvas, found, labels, shown, duration, isLast);
    const words = bands(found).map(({ start, end, best }) =>
      t("band", { start: clock(start), end: clock(end), genre: genre(labels[best]) }));
    this.canvas.setAttribute("aria-label", worded("timeline-label", { model, bands: words.join("; ") }, isOfGenres));
  }

  #drawLegend(labels, shown, model) {
    const isNeeded = labels.length > ALL_SHOWN;
    this.legend.hidden = !isNeeded;
    if (!isNeeded) return;
    const others = labels.length - shown.length;
    const entries = shown.map((at) => [genre(labels[at]), labelColour(labels[at])]);
    if (others > 0) entries.push([t("labels-other", { n: number(others) }), othersColour()]);
    const signature = JSON.stringify(entries);
    if (this.list.dataset.signature !== signature) {
      this.list.dataset.signature = signature;
      this.list.replaceChildren(...entries.map(([text, fill]) => {
        const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
        swatch.style.backgroundColor = fill;
        return make("li", {}, swatch, make("span", { class: "name" }, text));
      }));
    }
    this.list.setAttribute("aria-label", t("legend-of", { model }));
    this.list.tabIndex = this.isExpanded ? 0 : -1;
    this.more.textContent = this.isExpanded ? t("labels-fewer", { n: SHOWN_FIRST }) : t("labels-more", { n: number(others) });
    this.more.setAttribute("aria-expanded", String(this.isExpanded));
  }
}
