"""Writes 30 s of a pulsing tone and bursts of noise as a 16-bit WAV file at 22050 Hz.

    python experiments/bench/tones.py FILE.wav
"""

import sys

import numpy as np
import soundfile

RATE, SECONDS = 22050, 30

index = np.arange(RATE * SECONDS)
time = index / RATE
tone = 0.3 * np.sin(2 * np.pi * 220 * time) * (1 + np.sin(2 * np.pi * 2 * time)) / 2
bursts = 0.1 * np.random.default_rng(1).standard_normal(len(index)) * (index % 5512 < 800)
soundfile.write(sys.argv[1], (tone + bursts).astype(np.float32), RATE, subtype="PCM_16")
