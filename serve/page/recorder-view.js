// The panel of a recording.

import { announce, byId } from "./dom.js";
import { clock, languages, number, t } from "./i18n.js";
import { LONGEST, NoRecording, Recording } from "./recorder.js";

/** The lowest level that the meter shows, in dBFS. */
const FLOOR = -60;

/** @param {(file: File) => void} onFile receives the recording */
export function setUpRecorder(onFile) {
  const [panel, start, problem] = [byId("recorder"), byId("record"), byId("record-problem")];
  /** @type {Recording | null} */
  let recording = null;
  let isBusy = false;
  /** @type {string | null} */
  let reason = null;

  const show = () => {
    panel.hidden = !recording;
    start.toggleAttribute("disabled", Boolean(recording) || isBusy);
    problem.hidden = !reason;
    problem.textContent = reason ? t(`record-${reason}`) : "";
    byId("record-limit").textContent = t("record-limit", { minutes: LONGEST / 60 });
  };

  const meter = () => {
    if (!recording) return;
    byId("record-elapsed").textContent = clock(recording.seconds);
    const level = Math.max(FLOOR, Math.min(0, recording.level));
    const bar = byId("record-level");
    byId("record-level-fill").style.transform = `scaleX(${(1 - level / FLOOR).toFixed(3)})`;
    bar.setAttribute("aria-valuenow", level.toFixed(0));
    bar.setAttribute("aria-valuetext", t("record-level-text", { level: number(level) }));
    byId("record-level-text").textContent = t("record-level-text", { level: number(level) });
    if (recording.seconds >= LONGEST) end(true);
  };

  const end = async (isUsed) => {
    const ended = recording;
    if (!ended) return;
    recording = null;
    show();
    start.focus();
    if (!isUsed) return ended.discard();
    const audio = await ended.stop();
    const time = new Date(Date.now() - new Date().getTimezoneOffset() * 60_000);
    const stamp = time.toISOString().slice(0, 19).replace("T", " ").replaceAll(":", "-");
    onFile(new File([audio], `${t("record-name")} ${stamp}.wav`, { type: "audio/wav" }));
  };

  start.addEventListener("click", async () => {
    if (isBusy || recording) return;
    isBusy = true;
    reason = null;
    show();
    try {
      recording = await Recording.start();
      recording.addEventListener("samples", meter);
      announce(t("recording"));
    } catch (error) {
      reason = error instanceof NoRecording ? error.reason : "failed";
    } finally {
      isBusy = false;
      show();
      if (recording) byId("record-stop").focus();
    }
  });
  byId("record-stop").addEventListener("click", () => end(true));
  byId("record-discard").addEventListener("click", () => end(false));
  languages.addEventListener("change", show);
  show();
}
