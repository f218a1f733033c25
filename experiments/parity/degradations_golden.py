"""Writes data/tests/golden/degradations.json: what ffmpeg and scipy give for the degradations of `data/src/degrade.rs`.

The clip is made of integers, so that the test makes the same one to the last bit.

    python experiments/parity/degradations_golden.py
"""

import json
import subprocess
from pathlib import Path

import numpy as np
from scipy.signal import butter, sosfilt

RATE, LENGTH, STEP = 22050, 22050, 41


def clip() -> np.ndarray:
    """One second of two sawtooths and noise, as 16 bits."""
    index = np.arange(LENGTH, dtype=np.int64)
    state, noise = 1, []
    for _ in range(LENGTH):
        state = (state * 1664525 + 1013904223) % 2**32
        noise.append((state >> 16) - 2**15)
    saw = lambda step: index * step % 65536 - 32768
    return (saw(1308) // 4 + saw(733) // 8 + np.array(noise) // 8).astype("<i2")


def ffmpeg(filters: str, samples: np.ndarray) -> np.ndarray:
    raw = ["-f", "s16le", "-ar", str(RATE), "-ac", "1"]
    command = ["ffmpeg", "-loglevel", "error", *raw, "-i", "pipe:0", "-af", filters, "-f", "s16le", "pipe:1"]
    return np.frombuffer(subprocess.run(command, input=samples.tobytes(), stdout=subprocess.PIPE, check=True).stdout, "<i2")


def noise(colour: str) -> np.ndarray:
    source = f"anoisesrc=r={RATE}:a=0.02:c={colour}:seed=7:d=60"
    command = ["ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", source, "-f", "f32le", "pipe:1"]
    return np.frombuffer(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout, "<f4").astype(float)


def statistics(samples: np.ndarray) -> dict:
    """Level in dB of full scale, and the correlation of samples so far apart."""
    power = np.mean(samples**2)
    lags = {str(lag): float(f"{np.mean(samples[lag:] * samples[:-lag]) / power:.5g}") for lag in (1, 2, 4, 8, 16, 64)}
    return {"db": float(f"{10 * np.log10(power):.5g}"), "correlation": lags}


def main() -> None:
    samples = clip()
    filters = {
        "gain": "volume=-20dB",
        "clipping": "volume=12dB",
        "bass": "bass=g=6",
        "treble": "treble=g=-9",
        "echoes": "aecho=0.8:0.7:40|61|87:0.35|0.25|0.2",
    }
    by_ffmpeg = {}
    for name, text in filters.items():
        out = ffmpeg(text, samples)
        by_ffmpeg[name] = {"length": len(out), "samples": out[::STEP].tolist()}
    by_scipy = {}
    for name, kind, hz in [("low-pass", "lowpass", 2500), ("high-pass", "highpass", 300)]:
        out = sosfilt(butter(8, hz, kind, fs=RATE, output="sos"), samples / 32768)
        by_scipy[name] = [float(f"{value:.7g}") for value in out[::STEP]]
    golden = {
        "ffmpeg": by_ffmpeg,
        "scipy": by_scipy,
        "noise": {colour: statistics(noise(colour)) for colour in ("white", "pink", "brown")},
    }
    path = Path(__file__).parents[2] / "data/tests/golden/degradations.json"
    path.write_text(json.dumps(golden) + "\n")


main()
