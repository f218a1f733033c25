"""Writes features/tests/golden/dsp.json: what librosa 0.11 gives for three short synthetic signals.

The signals are made of integers, so that features/tests/golden_dsp.rs makes the same ones to the last bit.

    python experiments/parity/golden_dsp.py
"""

import json
from pathlib import Path

import librosa
import numpy as np

SAMPLE_RATE = 22050
LENGTH = 13_000


def saw(step: int) -> np.ndarray:
    """A sawtooth in -1..1 that goes up by step/32768 a sample."""
    return (np.arange(LENGTH, dtype=np.int64) * step % 65536 - 32768) / 32768


def noise() -> np.ndarray:
    """Noise in -1..1 of a linear congruential generator."""
    state, values = 1, []
    for _ in range(LENGTH):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append(((state >> 8) - 2**23) / 2**23)
    return np.array(values)


def signals() -> dict[str, np.ndarray]:
    index = np.arange(LENGTH)
    chord = (saw(1308) + saw(1648) + saw(1960)) * 0.125
    gate = np.where(index // 2205 % 2 == 0, 1.0, 0.0625)
    clicks = np.where(index % 2756 == 1000, 0.75, 0.0)
    silent_end = np.where(index < 10_000, 1.0, 0.0)
    return {
        "chord": (chord * gate).astype(np.float32),
        "noise": (noise() * 0.5).astype(np.float32),
        "mixture": ((saw(733) * 0.25 + clicks + noise() * 2**-6) * silent_end).astype(np.float32),
    }


def values(array: np.ndarray) -> list[float]:
    """Row-major, with seven digits, which is what an f32 has."""
    return [float(f"{v:.7g}") for v in np.asarray(array, dtype=np.float64).ravel()]


def analyse(y: np.ndarray) -> dict[str, list[float]]:
    mel = librosa.feature.melspectrogram(y=y, sr=SAMPLE_RATE)
    log_mel = librosa.power_to_db(mel)
    mfcc = librosa.feature.mfcc(S=log_mel, n_mfcc=20)
    stft = librosa.stft(y, n_fft=512, hop_length=200)
    harmonic, percussive = librosa.decompose.hpss(np.abs(stft))
    harmonic_wave, percussive_wave = librosa.effects.hpss(y)
    plain = librosa.stft(y, n_fft=1102, hop_length=551, center=False)
    return {
        "log_mel": values(log_mel),
        "mfcc": values(mfcc),
        "delta": values(librosa.feature.delta(mfcc)),
        "delta2": values(librosa.feature.delta(mfcc, order=2)),
        # Every 16th bin and 5th frame.
        "stft_re": values(stft.real[::16, ::5]),
        "stft_im": values(stft.imag[::16, ::5]),
        "plain_power": values(np.abs(plain[::16, ::5]) ** 2),
        "harmonic": values(harmonic[::16, ::5]),
        "percussive": values(percussive[::16, ::5]),
        # Every 37th sample.
        "harmonic_wave": values(harmonic_wave[::37]),
        "percussive_wave": values(percussive_wave[::37]),
    }


def main() -> None:
    banks = {
        "slaney": librosa.filters.mel(sr=SAMPLE_RATE, n_fft=512, n_mels=16, fmin=50, fmax=8000),
        "htk": librosa.filters.mel(sr=SAMPLE_RATE, n_fft=512, n_mels=16, fmin=50, fmax=8000, htk=True, norm=None),
    }
    golden = {
        "librosa": librosa.__version__,
        "mel": {name: values(bank) for name, bank in banks.items()},
        "mel_centers": values(librosa.mel_frequencies(18, fmin=50, fmax=8000)[1:-1]),
        "signals": {name: analyse(y) for name, y in signals().items()},
    }
    path = Path(__file__).parents[2] / "features/tests/golden/dsp.json"
    path.write_text(json.dumps(golden, separators=(",", ":")).replace(".0,", ",") + "\n")
    print(path, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
