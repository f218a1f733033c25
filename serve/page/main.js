// Wires the page: what the reader does, to the songs; what changes about these, to the page.

import { useKey } from "./api.js";
import { setUpCrate } from "./crate.js";
import { announce, byId, coalesced, make } from "./dom.js";
import { clock, current, genre, has, languages, number, t, translate, use } from "./i18n.js";
import { MODELS, watch } from "./models.js";
import { Player } from "./player.js";
import { explain } from "./problems.js";
import { setUpRecorder } from "./recorder-view.js";
import { songs } from "./songs.js";
import { Stage } from "./stage.js";
import { isDark, themes, toggle } from "./theme.js";
import { mostProbable } from "./timeline.js";
import { moveArm, print, turn } from "./turntable.js";
import { againButton, drawVerdicts, sharedProblem, summary } from "./verdicts.js";

const player = new Player(/** @type {HTMLAudioElement} */ (byId("player")));
const stage = new Stage(player);
/** @type {import("./songs.js").Song | null} whose file is in the player */
let loaded = null;

/** One file is opened at once; of many, the table is shown first. */
function add(files) {
  if (files.length === 0) return;
  const added = songs.add(files);
  if (added.length === 1) songs.show(added[0]);
  announce(added.length === 1 ? t("added-1", { name: added[0].name }) : t("added", { n: added.length }));
}

// The song that is open.

const drawSong = coalesced(() => {
  const song = songs.open;
  if (song !== loaded) {
    loaded = song;
    player.load(song?.file ?? null);
  }
  byId("intro").hidden = Boolean(song);
  byId("song-head").hidden = !song;
  const shared = song && sharedProblem(song);
  byId("song").hidden = !song;
  byId("song-problem").hidden = !shared;
  byId("answers").hidden = Boolean(shared);
  stage.show(song && !shared ? song : null);
  drawPlayer();
  if (!song) return print("", "");
  byId("song-title").textContent = song.name;
  byId("song-about").textContent = song.audio ? about(song.audio) : "";
  if (shared) {
    drawProblem(song, shared);
  }
  drawVerdicts(song);
  const words = summary(song);
  if (byId("summary").textContent !== words) byId("summary").textContent = words;
  const first = MODELS.find(({ name }) => songs.wanted.includes(name) && song.asks[name].value);
  print(first ? genre(mostProbable(song.asks[first.name].value.probabilities)) : "", first ? t(`model-${first.name}`) : "");
});

/** What is wrong with the song; asked again it may be right, if it was the server's fault. */
function drawProblem(song, problem) {
  const canChange = problem.status === 0 || problem.status === 401 || problem.status >= 500;
  byId("song-problem").replaceChildren(
    make("h2", {}, t("problem-title", { name: song.name })), explain(problem), ...(canChange ? [make("p", {}, againButton(song))] : []));
}

function about({ container, sample_rate: rate, channels, seconds }) {
  const key = has(`channels-${channels}`) ? `channels-${channels}` : "channels-n";
  return t("audio-about", {
    container: container.toUpperCase(),
    rate: number(rate / 1000, 2),
    channels: t(key, { n: channels }),
    length: clock(seconds),
  });
}

function drawPlayer() {
  const { open } = songs;
  byId("unplayable").hidden = player.canPlay || !open || Boolean(sharedProblem(open));
  byId("player").hidden = !player.canPlay;
  byId("spin").setAttribute("aria-label", open ? t(player.isPlaying ? "pause" : "play") : t("choose"));
  turn(player.isPlaying);
  drawArm();
}

function drawArm() {
  moveArm(songs.open && stage.duration ? player.time / stage.duration : null);
}

player.addEventListener("state", drawPlayer);
player.addEventListener("time", drawArm);
songs.addEventListener("change", ({ detail: song }) => {
  if (!song || song === songs.open) drawSong();
});
byId("spin").addEventListener("click", () => (songs.open ? player.toggle() : byId("files").click()));

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

// Models.

for (const radio of document.querySelectorAll("input[name=models]")) {
  radio.addEventListener("change", () => {
    const { value } = /** @type {HTMLInputElement} */ (radio);
    songs.want(MODELS.map(({ name }) => name).filter((name) => value === "both" || value === name));
  });
}

function drawModels() {
  for (const { name } of MODELS) {
    const state = watch.state(name);
    const { version } = watch.status.get(name) ?? {};
    const chip = byId(`status-${name}`);
    chip.dataset.state = state;
    chip.textContent = `${t(`model-${name}`)} ${t(`state-${state}`)}`;
    chip.title = version ? `${t("detail-version")} ${version}` : "";
  }
  const down = MODELS.map(({ name }) => name).filter((name) => watch.isDown(name));
  const words = watch.isServerUp === false ? "down-server" : { 0: "", 1: `down-${down[0]}`, 2: "down-both" }[down.length];
  const banner = byId("banner");
  banner.hidden = !words;
  const problems = down.map((name) => watch.status.get(name)?.problem).filter(Boolean);
  const signature = JSON.stringify([words, problems, current()]);
  if (banner.dataset.signature !== signature) {
    banner.dataset.signature = signature;
    banner.replaceChildren(...(words ? [make("p", {}, t(words))] : []));
    if (words && problems.length > 0) {
      banner.append(make("details", {}, make("summary", {}, t("problem-details")),
        ...problems.map((problem) => make("p", { lang: "en" }, problem))));
    }
  }
  byId("key-box").hidden = !watch.needsKey;
}

watch.addEventListener("change", drawModels);
watch.addEventListener("ready", ({ detail: { name, wasDown } }) => {
  if (wasDown) announce(t("back", { model: t(`model-${name}`) }));
});
byId("key-box").addEventListener("submit", async (event) => {
  event.preventDefault();
  useKey(/** @type {HTMLInputElement} */ (byId("key")).value.trim());
  await watch.look();
  if (!watch.needsKey) songs.again();
});

// Language and theme.

function drawLanguage() {
  translate();
  for (const name of ["en", "fr"]) byId(`language-${name}`).setAttribute("aria-pressed", String(current() === name));
  drawModels();
  drawSong();
}

for (const name of ["en", "fr"]) byId(`language-${name}`).addEventListener("click", () => use(/** @type {any} */ (name)));
byId("theme").addEventListener("click", toggle);
const drawTheme = () => byId("theme").setAttribute("aria-pressed", String(isDark()));
languages.addEventListener("change", drawLanguage);
themes.addEventListener("change", () => {
  drawTheme();
  drawSong();
});

setUpCrate();
drawTheme();
drawLanguage();
watch.look();
document.documentElement.dataset.ready = "true";
