// Connects the page: user input to the tracks, and their changes to the page.

import { mayPass, useKey } from "./api.js";
import { Analysis } from "./analysis.js";
import { drawAudio } from "./audio.js";
import { announce, byId, coalesced, later, make } from "./dom.js";
import { example, kinds } from "./examples.js";
import { current, cut, genre, languages, modelName, t, translate, use } from "./i18n.js";
import { predicted } from "./labels.js";
import { drawModels, setUpModels } from "./model-view.js";
import { watch } from "./models.js";
import { Player } from "./player.js";
import { explain } from "./problems.js";
import { setUpRecorder } from "./recorder-view.js";
import { isPending, tracks } from "./tracks.js";
import { isDark, themes, toggle } from "./theme.js";
import { reveal, setUpTrackList } from "./track-list.js";
import { moveArm, print, turn } from "./turntable.js";
import { retryButton, drawPredictions, sharedProblem, stateText, summary } from "./predictions.js";

/** Characters of a label and of a model that the record has space for. */
const PRINTED = 12;

const player = new Player(/** @type {HTMLAudioElement} */ (byId("player")));
const analysis = new Analysis(player);
/** @type {{ track: import("./tracks.js").Track | null, file: File | null }} what is in the player: a track may get its file later */
let loaded = { track: null, file: null };

/** A single file is opened; of several, the table is shown first. The page scrolls to what was added. */
function add(files, areExamples = false) {
  if (files.length === 0) return;
  const added = tracks.add(files, areExamples);
  if (added.length === 1) {
    tracks.show(added[0]);
    later(() => {
      const { top, bottom } = byId("track-title").getBoundingClientRect();
      if (top < 0 || bottom > innerHeight / 2) byId("deck").scrollIntoView({ block: "start" });
      // The button of the example is gone.
      if (areExamples) byId("track-title").focus({ preventScroll: true });
    });
  } else reveal(added);
  announce(added.length === 1 ? t("added-1", { name: added[0].name }) : t("added", { n: added.length }));
}

// The open track.

const drawTrack = coalesced(() => {
  const track = tracks.open;
  const file = track?.file ?? null;
  if (track !== loaded.track || file !== loaded.file) {
    loaded = { track, file };
    player.load(file);
  }
  byId("intro").hidden = Boolean(track);
  byId("track-head").hidden = !track;
  byId("deck").classList.toggle("open", Boolean(track));
  byId("examples").hidden = tracks.list.length > 0;
  byId("lost").hidden = !tracks.lost;
  byId("lost").textContent = tracks.lost ? t(`lost-${tracks.lost}`) : "";
  const shared = track && sharedProblem(track);
  byId("track").hidden = !track;
  byId("track-problem").hidden = !shared;
  byId("results").hidden = Boolean(shared);
  analysis.show(track && !shared ? track : null);
  drawPlayer();
  if (!track) return print("", "");
  byId("track-title").textContent = track.name;
  byId("example-note").hidden = !track.isExample;
  drawAudio(track);
  if (shared) {
    drawProblem(track, shared);
  }
  drawPredictions(track);
  const words = summary(track);
  if (byId("summary").textContent !== words) byId("summary").textContent = words;
  const waited = tracks.selected.map((name) => track.prediction(name)).find(isPending);
  byId("answer-wait").hidden = !waited || Boolean(words);
  byId("answer-wait").textContent = waited ? stateText(waited) : "";
  const first = tracks.selected.find((name) => track.prediction(name).value);
  print(first ? cut(genre(predicted(track.prediction(first).value).label), PRINTED) : "", first ? cut(modelName(first), PRINTED) : "");
});

function drawProblem(track, problem) {
  byId("track-problem").replaceChildren(
    make("h2", {}, t("problem-title", { name: track.name })), explain(problem), ...(mayPass(problem) ? [make("p", {}, retryButton(track))] : []));
}

function drawPlayer() {
  const { open } = tracks;
  byId("unplayable").hidden = player.canPlay || !open?.file || Boolean(sharedProblem(open));
  byId("player").hidden = !player.canPlay;
  byId("spin").setAttribute("aria-label", open?.file ? t(player.isPlaying ? "pause" : "play") : t("choose"));
  turn(player.isPlaying);
  drawArm();
}

function drawArm() {
  moveArm(tracks.open && analysis.duration ? player.time / analysis.duration : null);
}

player.addEventListener("state", drawPlayer);
player.addEventListener("time", drawArm);
tracks.addEventListener("change", ({ detail: track }) => {
  if (!track || track === tracks.open) drawTrack();
});
byId("spin").addEventListener("click", () => (tracks.open?.file ? player.toggle() : byId("files").click()));

// Files.

const files = /** @type {HTMLInputElement} */ (byId("files"));
byId("choose").addEventListener("click", () => files.click());
files.addEventListener("change", () => {
  add([...(files.files ?? [])]);
  files.value = ""; // so that the same file can be chosen again
});
let entered = 0;
const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
const drop = (isOver) => document.body.classList.toggle("drop", isOver);
addEventListener("dragenter", (event) => {
  if (!holdsFiles(event)) return;
  entered += 1;
  drop(true);
});
addEventListener("dragleave", (event) => {
  if (!holdsFiles(event)) return;
  entered = Math.max(0, entered - 1);
  drop(entered > 0);
});
addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
addEventListener("drop", (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  entered = 0;
  drop(false);
  add([...event.dataTransfer.files]);
});
setUpRecorder((file) => add([file]));
for (const kind of kinds) {
  const name = () => t("example-name", { name: t(`example-${kind}`) });
  byId("example-buttons").append(make("button", {
    type: "button", class: "quiet", "data-text": `example-${kind}`, "data-testid": `example-${kind}`, onclick: () => add([example(kind, name())], true),
  }));
}

// Models and the key.

byId("key-box").addEventListener("submit", async (event) => {
  event.preventDefault();
  useKey(/** @type {HTMLInputElement} */ (byId("key")).value.trim());
  await watch.check();
  if (!watch.needsKey) tracks.retry();
});

// Language and theme.

function drawLanguage() {
  translate();
  for (const name of ["en", "fr"]) byId(`language-${name}`).setAttribute("aria-pressed", String(current() === name));
  drawModels();
  drawTrack();
}

for (const name of ["en", "fr"]) byId(`language-${name}`).addEventListener("click", () => use(/** @type {any} */ (name)));
byId("theme").addEventListener("click", toggle);
const drawTheme = () => byId("theme").setAttribute("aria-pressed", String(isDark()));
languages.addEventListener("change", drawLanguage);
themes.addEventListener("change", () => {
  drawTheme();
  drawModels();
  drawTrack();
});

setUpModels();
setUpTrackList();
drawTheme();
drawLanguage();
watch.check();
document.documentElement.dataset.ready = "true";
