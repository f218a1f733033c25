// The player: plays what the browser can, and holds a position in the track where it cannot.

/** Fires `time` whenever the position moves, `state` when it plays, pauses, or turns out unplayable. */
export class Player extends EventTarget {
  /** @param {HTMLAudioElement} audio */
  constructor(audio) {
    super();
    this.audio = audio;
    /** Whether there is a file that the browser can play, as far as is known. */
    this.canPlay = false;
    /** The position in seconds, when it cannot. */
    this.position = 0;
    this.url = "";
    const moved = () => this.dispatchEvent(new Event("time"));
    const changed = () => this.dispatchEvent(new Event("state"));
    // What loads can be played, whatever was said of the file before it.
    audio.addEventListener("loadedmetadata", () => (this.canPlay = Boolean(this.url)));
    for (const name of ["timeupdate", "seeked", "loadedmetadata"]) audio.addEventListener(name, moved);
    for (const name of ["play", "pause", "ended", "loadedmetadata"]) audio.addEventListener(name, changed);
    audio.addEventListener("play", () => this.#follow());
    audio.addEventListener("error", () => {
      // Without an error the event is of a file that was there before.
      if (!this.url || !audio.error) return;
      this.canPlay = false;
      changed();
    });
  }

  /** @param {File | null} file null removes the track */
  load(file) {
    if (this.url) URL.revokeObjectURL(this.url);
    this.canPlay = Boolean(file);
    this.position = 0;
    this.url = file ? URL.createObjectURL(file) : "";
    if (file) this.audio.src = this.url;
    else this.audio.removeAttribute("src");
    this.audio.load();
    this.dispatchEvent(new Event("time"));
    this.dispatchEvent(new Event("state"));
  }

  /** In seconds. */
  get time() {
    return this.canPlay ? this.audio.currentTime : this.position;
  }

  get isPlaying() {
    return !this.audio.paused && !this.audio.ended;
  }

  /** @param {number} seconds @param {number} duration of the track */
  seek(seconds, duration) {
    const position = Math.max(0, Math.min(duration, seconds));
    if (this.canPlay) this.audio.currentTime = position;
    this.position = position;
    this.dispatchEvent(new Event("time"));
  }

  toggle() {
    if (!this.canPlay || !this.url) return;
    // Play is refused only where the file turns out unplayable, which `error` tells.
    if (this.isPlaying) this.audio.pause();
    else this.audio.play().catch(() => {});
  }

  /** `timeupdate` comes four times a second; the cursor moves with every frame. */
  #follow() {
    if (!this.isPlaying) return;
    this.dispatchEvent(new Event("time"));
    requestAnimationFrame(() => this.#follow());
  }
}
