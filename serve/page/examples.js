// Example tracks, made by the page: synthetic sounds, so that nothing of anybody's is shipped. The same samples each time.

import { wav } from "./wav.js";

/** Of the samples, in Hz. */
const RATE = 22_050;
/** Of each example, in seconds. */
const LENGTH = 16;
/** The largest sample, 0 to 1. */
const PEAK = 0.9;

/** The examples by what they sound like; each adds itself to silence. @type {Record<string, (mix: Mix) => void>} */
const EXAMPLES = { beat, strings, guitar };

/** What the examples sound like. */
export const kinds = Object.keys(EXAMPLES);

/**
 * The example of that kind.
 * @param {string} kind
 * @param {string} name of the file
 * @returns {File}
 */
export function example(kind, name) {
  const mix = new Mix();
  EXAMPLES[kind](mix);
  return new File([wav([mix.finish()], RATE)], name, { type: "audio/wav", lastModified: 0 });
}

/** The frequency of a note in Hz; 69 is the A of 440 Hz. */
const hertz = (note) => 440 * 2 ** ((note - 69) / 12);

/** The fractional part, which makes a sawtooth of a phase: -1 to 1. */
const saw = (phase) => 2 * (phase - Math.floor(phase)) - 1;

/** The samples of an example, to which sounds are added. */
class Mix {
  constructor() {
    this.samples = new Float32Array(LENGTH * RATE);
    this.seed = 1;
  }

  /** A random number, -1 to 1: a linear congruential generator (Numerical Recipes). */
  noise() {
    this.seed = (Math.imul(this.seed, 1_664_525) + 1_013_904_223) >>> 0;
    return this.seed / 2 ** 31 - 1;
  }

  /**
   * Adds a sound.
   * @param {number} start in seconds
   * @param {number} length in seconds
   * @param {(seconds: number) => number} sound the sample at a time after its start
   */
  add(start, length, sound) {
    const [first, count] = [Math.round(start * RATE), Math.round(length * RATE)];
    for (let at = 0; at < count && first + at < this.samples.length; at += 1) this.samples[first + at] += sound(at / RATE);
  }

  kick(start, level = 1) {
    // Its pitch falls from 150 Hz to 50 Hz; the phase is the integral.
    this.add(start, 0.3, (s) => level * Math.exp(-s * 12) * Math.sin(2 * Math.PI * (50 * s + (100 / 30) * (1 - Math.exp(-s * 30)))));
  }

  /** Filtered noise: a hi-hat where it decays fast, else a snare. */
  hit(start, decay, level) {
    let last = 0;
    this.add(start, 5 / decay, (s) => {
      const now = this.noise();
      const high = now - last;
      last = now;
      return level * high * Math.exp(-s * decay);
    });
  }

  /** The samples, the loudest of which has the amplitude `PEAK`. */
  finish() {
    const loudest = this.samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
    return this.samples.map((sample) => (PEAK * sample) / loudest);
  }
}

/** Four beats to the bar at 120 a minute, with a bass in octaves and chords off the beat. */
function beat(mix) {
  const roots = [45, 41, 48, 43];
  for (let eighth = 0; eighth < LENGTH * 4; eighth += 1) {
    const [start, root] = [eighth / 4, roots[Math.floor(eighth / 8) % roots.length]];
    const isOff = eighth % 2 === 1;
    if (!isOff) mix.kick(start);
    if (eighth % 4 === 2) mix.hit(start, 25, 0.25);
    mix.hit(start, isOff ? 30 : 90, 0.18);
    const bass = hertz(root - 12 + (isOff ? 12 : 0));
    mix.add(start, 0.22, (s) => 0.35 * Math.exp(-s * 6) * Math.tanh(1.5 * (saw(bass * s) + Math.sin(2 * Math.PI * bass * s))));
    if (!isOff) continue;
    for (const third of [0, root === 45 ? 3 : 4, 7]) {
      const chord = hertz(root + 12 + third);
      mix.add(start, 0.2, (s) => 0.09 * Math.exp(-s * 9) * (saw(chord * s) + saw(1.006 * chord * s)));
    }
  }
}

/** One cycle of a bowed string: eight harmonics that fall off. */
function bowed() {
  const cycle = new Float32Array(2048);
  for (let harmonic = 1; harmonic <= 8; harmonic += 1) {
    for (let at = 0; at < cycle.length; at += 1) cycle[at] += Math.sin((2 * Math.PI * harmonic * at) / cycle.length) / harmonic ** 1.6;
  }
  return cycle;
}

/** A slow cadence of four voices, with a soft beginning and vibrato. */
function strings(mix) {
  const cycle = bowed();
  const chords = [[48, 64, 67, 72], [45, 64, 69, 72], [41, 65, 69, 72], [43, 62, 67, 71]];
  const length = LENGTH / 8;
  for (let bar = 0; bar < 8; bar += 1) {
    chords[bar % chords.length].forEach((note, voice) => {
      const pitch = hertz(note + (voice === 3 && bar >= 4 ? 12 : 0));
      mix.add(bar * length, length + 0.4, (s) => {
        const swell = Math.min(1, s / 0.35) * Math.min(1, Math.max(0, (length + 0.4 - s) / 0.5));
        const phase = pitch * (s + (0.0008 * Math.sin(2 * Math.PI * (5.2 + 0.3 * voice) * s)) / 5);
        return 0.2 * swell * cycle[Math.floor((phase - Math.floor(phase)) * cycle.length)];
      });
    });
  }
}

/** Fifths of two overdriven guitars in fast eighths, with drums and open cymbals. */
function guitar(mix) {
  const roots = [40, 40, 43, 38, 40, 40, 46, 45];
  const step = 60 / 168 / 2;
  for (let eighth = 0; eighth * step < LENGTH; eighth += 1) {
    const [start, root] = [eighth * step, hertz(roots[Math.floor(eighth / 8) % roots.length])];
    const isMuted = ![0, 3, 6].includes(eighth % 8);
    // The cabinet takes away what is above its band; the second guitar is a little out of tune.
    let [low, lower] = [0, 0];
    mix.add(start, step, (s) => {
      const strings = [1, 1.004].map((tuning) => saw(tuning * root * s) + saw(1.498 * tuning * root * s) + saw(2.003 * tuning * root * s));
      const driven = strings.reduce((sum, string) => sum + Math.tanh(6 * (string + 0.1 * mix.noise())), 0);
      low += 0.6 * (driven - low);
      lower += 0.6 * (low - lower);
      return 0.3 * Math.min(1, s / 0.003) * Math.exp(-s * (isMuted ? 5 : 1)) * lower;
    });
    mix.kick(start, eighth % 2 === 0 ? 0.9 : 0.5);
    if (eighth % 4 === 2) mix.hit(start, 14, 0.5);
    if (eighth % 2 === 0) mix.hit(start, 7, 0.16);
  }
}
