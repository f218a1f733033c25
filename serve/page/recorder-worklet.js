// On the audio thread: passes on the samples of the microphone, mixed to one channel, in blocks of some 40 ms.

const BLOCK = 2048;

class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Float32Array(BLOCK);
    this.filled = 0;
    this.isOver = false;
    this.port.onmessage = () => {
      this.port.postMessage(this.block.slice(0, this.filled));
      this.port.postMessage(null); // the end
      this.isOver = true;
    };
  }

  process([channels]) {
    const length = channels[0]?.length ?? 0;
    for (let at = 0; at < length && !this.isOver; at += 1) {
      let sum = 0;
      for (const channel of channels) sum += channel[at];
      this.block[this.filled] = sum / channels.length;
      this.filled += 1;
      if (this.filled === BLOCK) {
        this.port.postMessage(this.block.slice());
        this.filled = 0;
      }
    }
    return !this.isOver;
  }
}

registerProcessor("recorder", Recorder);
