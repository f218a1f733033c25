"""Writes 30 s of audio as a 16-bit WAV file, mono at 22050 Hz.

    python experiments/bench/clip.py OUT.wav [FILE]

The audio is the beginning of FILE, in any format that soundfile reads; without one, a pulsing tone and bursts of noise.
"""

import sys

import numpy as np
import soundfile

RATE, SECONDS = 22050, 30


def tones() -> np.ndarray:
    index = np.arange(RATE * SECONDS)
    time = index / RATE
    tone = 0.3 * np.sin(2 * np.pi * 220 * time) * (1 + np.sin(2 * np.pi * 2 * time)) / 2
    bursts = 0.1 * np.random.default_rng(1).standard_normal(len(index)) * (index % 5512 < 800)
    return (tone + bursts).astype(np.float32)


def beginning_of(path: str) -> np.ndarray:
    samples, rate = soundfile.read(path, frames=RATE * SECONDS, dtype="float32", always_2d=True)
    if rate != RATE or len(samples) < RATE * SECONDS:
        sys.exit(f"{path} has {len(samples) / rate:.2f} s at {rate} Hz; at least {SECONDS} s at {RATE} Hz are needed")
    return samples.mean(axis=1)


soundfile.write(sys.argv[1], beginning_of(sys.argv[2]) if len(sys.argv) > 2 else tones(), RATE, subtype="PCM_16")
