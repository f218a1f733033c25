"""Six synthetic signals of 3 s at 22 050 Hz, made by formula so that `features/tests/parity/signals.rs` makes the same.

Everything is scalar double precision in one order, and the result is rounded to 16 bits; a hash of the samples, stored
beside the golden values, proves that both programs computed the same.
"""

import math

import numpy as np

SAMPLE_RATE = 22050
LENGTH = 3 * SAMPLE_RATE
TAU = 2.0 * math.pi


class Noise:
    """Knuth's 64-bit linear congruential generator; values from -1 to 1 in steps of 2^-23."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 40) / 8388608.0 - 1.0


def chirp():
    """60 Hz to 5460 Hz in a line."""
    for i in range(LENGTH):
        t = i / SAMPLE_RATE
        yield 0.6 * math.sin(TAU * (60.0 * t + 900.0 * t * t))


def chord():
    """A major triad, 17 cents sharp, with vibrato, struck every 0.75 s; five partials for each note."""
    notes = (222.17, 279.92, 332.88)
    for i in range(LENGTH):
        t = i / SAMPLE_RATE
        vibrato = 0.4 * math.sin(TAU * 5.5 * t)
        x = 0.0
        for note in notes:
            for partial in range(1, 6):
                x += math.sin(partial * (TAU * note * t + vibrato)) / partial
        yield 0.12 * math.exp(-3.0 * math.fmod(t, 0.75)) * x


def clicks():
    """A click of 1 kHz and noise every half second (120 beats a minute) over a quiet floor."""
    noise = Noise(7)
    for i in range(LENGTH):
        t = math.fmod(i / SAMPLE_RATE, 0.5)
        yield 0.002 * noise.next() + math.exp(-60.0 * t) * (0.5 * math.sin(TAU * 1000.0 * t) + 0.3 * noise.next())


def bursts():
    """Low-passed noise in bursts of 0.3 s, with digital silence between."""
    noise = Noise(11)
    low = 0.0
    for i in range(LENGTH):
        low = 0.85 * low + 0.15 * noise.next()
        yield 0.9 * low if i % 13230 < 6615 else 0.0


def speech():
    """A gliding voice with two formants, four syllables a second, and a hiss between them."""
    noise = Noise(13)
    phase = 0.0
    for i in range(LENGTH):
        t = i / SAMPLE_RATE
        pitch = 120.0 + 25.0 * math.sin(TAU * 0.7 * t)
        phase += TAU * pitch / SAMPLE_RATE
        x = 0.0
        for partial in range(1, 25):
            low = (partial * pitch - 600.0) / 250.0
            high = (partial * pitch - 1900.0) / 400.0
            x += (math.exp(-low * low) + 0.4 * math.exp(-high * high)) * math.sin(partial * phase)
        syllable = math.sin(TAU * 2.0 * t)
        syllable *= syllable
        yield 0.25 * syllable * x + 0.02 * (1.0 - syllable) * noise.next()


def edges():
    """What trips programs up: half a second each of silence, a constant, an impulse, an alternation of sign, noise at
    the last bit, and noise at full scale."""
    noise = Noise(17)
    for i in range(LENGTH):
        part, at = divmod(i, LENGTH // 6)
        n = noise.next()
        if part == 0:
            yield 0.0
        elif part == 1:
            yield 0.25
        elif part == 2:
            yield 0.9 if at == 5000 else 0.0
        elif part == 3:
            yield 0.5 if at % 2 == 0 else -0.5
        elif part == 4:
            yield n / 32768.0
        else:
            yield n


ALL = {f.__name__: f for f in (chirp, chord, clicks, bursts, speech, edges)}


def pcm(name):
    """The 16-bit samples of a signal."""
    levels = [min(max(math.floor(x * 32767.0 + 0.5), -32768), 32767) for x in ALL[name]()]
    return np.array(levels, dtype="<i2")


def samples(name):
    """The samples of a signal at full scale 1, as soundfile reads them."""
    return pcm(name).astype(np.float32) / np.float32(32768.0)


def fnv1a(pcm16):
    """64-bit FNV-1a of the little-endian bytes, in hex."""
    h = 0xCBF29CE484222325
    for byte in pcm16.tobytes():
        h = ((h ^ byte) * 0x100000001B3) % 2**64
    return f"{h:016x}"
