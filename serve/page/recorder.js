// Recording: microphone → AudioWorklet → WAV, every sample as it came; what a MediaRecorder gives was compressed.

import { wav } from "./wav.js";

/** The longest recording, in seconds: a server accepts 900 by default. */
export const LONGEST = 600;

/** How far the level falls per block of silence, in dB. */
const FALL = 1.5;

/** Why there is no recording; `reason` is the end of a key of the texts. */
export class NoRecording extends Error {
  /** @param {"denied" | "missing" | "insecure" | "failed"} reason */
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

/** A recording. Fires `samples` as they arrive. */
export class Recording extends EventTarget {
  /** Requests the microphone and begins, without the browser's speech filters. */
  static async start() {
    if (!navigator.mediaDevices?.getUserMedia || !globalThis.AudioWorkletNode) throw new NoRecording("insecure");
    const constraints = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: constraints });
    } catch (error) {
      const reasons = { NotAllowedError: "denied", SecurityError: "denied", NotFoundError: "missing" };
      throw new NoRecording(reasons[error.name] ?? "failed");
    }
    const context = new AudioContext();
    try {
      await context.audioWorklet.addModule(new URL("recorder-worklet.js", import.meta.url));
      await context.resume();
      return new Recording(stream, context);
    } catch {
      stream.getTracks().forEach((track) => track.stop());
      await context.close();
      throw new NoRecording("failed");
    }
  }

  /** @param {MediaStream} stream @param {AudioContext} context */
  constructor(stream, context) {
    super();
    this.stream = stream;
    this.context = context;
    /** @type {Float32Array[]} */
    this.blocks = [];
    this.samples = 0;
    /** In dB below full scale. */
    this.level = -Infinity;
    this.over = new Promise((resolve) => {
      this.node = new AudioWorkletNode(context, "recorder");
      this.node.port.onmessage = ({ data }) => (data ? this.#receive(data) : resolve(undefined));
    });
    this.source = context.createMediaStreamSource(stream);
    // It outputs silence; unconnected, some browsers would not run it.
    this.source.connect(this.node).connect(context.destination);
  }

  get seconds() {
    return this.samples / this.context.sampleRate;
  }

  /** Ends it. @returns {Promise<Blob>} a WAV file */
  async stop() {
    this.node.port.postMessage("stop");
    await this.over;
    const rate = this.context.sampleRate;
    await this.discard();
    return wav(this.blocks, rate);
  }

  /** Ends it and releases the microphone. */
  async discard() {
    this.source.disconnect();
    this.node.disconnect();
    this.stream.getTracks().forEach((track) => track.stop());
    if (this.context.state !== "closed") await this.context.close();
  }

  #receive(block) {
    this.blocks.push(block);
    this.samples += block.length;
    const power = block.reduce((sum, sample) => sum + sample * sample, 0) / Math.max(1, block.length);
    // Like a needle: up at once, down slowly.
    this.level = Math.max(10 * Math.log10(power), this.level - FALL);
    this.dispatchEvent(new Event("samples"));
  }
}
