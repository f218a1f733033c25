// What is known of the audio of a track: its format, its tags, and what was wrong with the file.

import { byId, make, redraw } from "./dom.js";
import { clock, cut, has, number, seconds, t } from "./i18n.js";

/**
 * What is wrong with a file that was decoded all the same. Neither its place nor what it cost need be known.
 * @typedef {{kind: string, at_seconds: number | null, lost_seconds: number | null, detail: string}} Warning
 */

/** The longest tag that is shown, in characters. */
const LONGEST = 120;

/** Names of containers that are not written in capitals. */
const NAMES = { matroska: "Matroska", webm: "WebM" };

/** The format, such as “WAV · 22.05 kHz · mono · 0:30”. */
function format({ container, sample_rate: rate, channels, seconds: length }) {
  const key = has(`channels-${channels}`) ? `channels-${channels}` : "channels-n";
  return t("audio-about", {
    container: NAMES[container] ?? container.toUpperCase(),
    rate: number(rate / 1000, 2),
    channels: t(key, { n: channels }),
    length: clock(length),
  });
}

/**
 * Artist and title, album and year, as far as the tags have them. Each is an element that keeps to itself which way it is written.
 * @returns {(Node | string)[]} nothing without tags
 */
function titleLine({ artist, title, album, year }) {
  const own = (text) => text && make("bdi", {}, cut(text, LONGEST));
  const names = [own(artist), own(title)].filter(Boolean);
  const years = year ? [album ? ` (${year})` : String(year)] : [];
  const release = album ? [own(album), ...years] : years;
  const name = names.flatMap((each, at) => (at > 0 ? [" – ", each] : [each]));
  return name.length > 0 && release.length > 0 ? [...name, " · ", ...release] : [...name, ...release];
}

/** The warnings of the audio of a track; none where a server of an earlier release gives none. @returns {Warning[]} */
export const warningsOf = (track) => track.audio?.warnings ?? [];

/** A warning in words. @param {Warning} warning */
export function warningText({ kind, at_seconds: at, lost_seconds: lost }) {
  const warning = t(has(`warning-${kind}`) ? `warning-${kind}` : "warning-other");
  const values = { warning, at: clock(at ?? 0), lost: seconds(lost ?? 0, lost < 1 ? 2 : 1) };
  if (at !== null && lost) return t("warning-at-lost", values);
  if (lost) return t("warning-lost", values);
  return at === null ? warning : t("warning-at", values);
}

/** A warning for a spreadsheet, such as “truncated at 21.4 s, 8.6 s lost”: the same in every language. @param {Warning} warning */
export function warningCode({ kind, at_seconds: at, lost_seconds: lost }) {
  const place = at === null ? "" : ` at ${at} s`;
  return `${kind}${place}${lost === null ? "" : `, ${lost} s lost`}`;
}

/** Draws what is known of the audio of the open track. */
export function drawAudio(track) {
  const { audio } = track;
  const tags = audio?.tags ?? {};
  const line = titleLine(tags);
  byId("track-tags").hidden = line.length === 0;
  redraw(byId("track-tags"), tags, () => line);
  byId("track-about").textContent = audio ? format(audio) : "";
  const warnings = warningsOf(track);
  byId("track-warnings").hidden = warnings.length === 0;
  redraw(byId("track-warnings"), [track.id, warnings], () => (warnings.length === 0 ? [] : [
    make("ul", {}, ...warnings.map((warning) => make("li", { "data-kind": warning.kind }, warningText(warning)))),
    make("details", {}, make("summary", {}, t("problem-details")), ...warnings.map(({ detail }) => make("p", { lang: "en" }, detail))),
  ]));
}
