"""The steps of features/benches/front_end.rs in librosa, one thread; prints the same JSON object.

    python experiments/bench/features_peer.py FILE.wav [ROUNDS]

Run it with OMP_NUM_THREADS=1 and OPENBLAS_NUM_THREADS=1 (experiments/bench/features.sh does). Nothing is computed twice: the
mel spectrogram is shared by the log-mel and the MFCC, and the whole set takes one STFT for all of its descriptors.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable

import librosa
import numpy as np
import soundfile

RATE = 22050
PITCHES = ["c", "c#", "d", "d#", "e", "f", "f#", "g", "g#", "a", "a#", "b"]


def time_of(rounds: int, f: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds of the median and of the fastest of `rounds` runs after one to warm up (librosa compiles and plans lazily)."""
    f()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        f()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times), min(times)


def whole_set(path: str) -> dict[str, float]:
    """The vector of the preset `librosa`, by name.

    The separated waveforms are those of `librosa.effects.hpss`, here from the STFT that is there already and by masks
    (without taking the phase apart), which is faster.
    """
    y, rate = soundfile.read(path, dtype="float32")
    f = librosa.feature
    spectrum = librosa.stft(y)
    magnitude = np.abs(spectrum)
    power = magnitude**2
    log_mel = librosa.power_to_db(f.melspectrogram(S=power, sr=rate))
    mfcc = f.mfcc(S=log_mel, n_mfcc=20)
    delta, delta2 = f.delta(mfcc), f.delta(mfcc, order=2)
    vector = {}

    p10, p50, p90 = np.percentile(mfcc, [10, 50, 90], axis=1)
    statistics_of_mfcc = {"mean": mfcc.mean(1), "std": mfcc.std(1), "p10": p10, "p50": p50, "p90": p90}
    for statistic, values in statistics_of_mfcc.items():
        vector |= {f"mfcc.stats.{k}.{statistic}": value for k, value in enumerate(values)}
    for statistic, values in (
        ("delta.mean", delta.mean(1)),
        ("delta.std", delta.std(1)),
        ("delta2.std", delta2.std(1)),
    ):
        vector |= {f"mfcc.{k}.{statistic}": value for k, value in enumerate(values)}
    correlations = np.corrcoef(mfcc)
    vector |= {f"mfcc.corr.{i}.{j}": correlations[i, j] for i in range(20) for j in range(i + 1, 20)}

    centroid = f.spectral_centroid(S=magnitude, sr=rate)
    masks = librosa.decompose.hpss(magnitude, mask=True)
    levels = [f.rms(y=librosa.istft(spectrum * mask, length=len(y))) for mask in masks]
    tracks = {
        "spectral_centroid": centroid,
        "spectral_bandwidth": f.spectral_bandwidth(S=magnitude, sr=rate, centroid=centroid),
        "spectral_rolloff": f.spectral_rolloff(S=magnitude, sr=rate),
        "spectral_flatness": f.spectral_flatness(S=magnitude),
        "spectral_contrast": f.spectral_contrast(S=magnitude, sr=rate),
        "chroma": f.chroma_stft(S=power, sr=rate),
        "rms": f.rms(y=y),
        "zero_crossing_rate": f.zero_crossing_rate(y),
        "harmonic_percussive": np.concatenate(levels),
    }
    rows_of = {"spectral_contrast": map(str, range(7)), "chroma": PITCHES, "harmonic_percussive": ["harmonic", "percussive"]}
    for name, series in tracks.items():
        p10, p50, p90 = np.percentile(series, [10, 50, 90], axis=1)
        names = [f"{name}.{row}" for row in rows_of[name]] if name in rows_of else [name]
        for statistic, values in {
            "mean": series.mean(1),
            "std": series.std(1),
            "p10": p10,
            "p50": p50,
            "p90": p90,
            "delta.std": np.diff(series, axis=1).std(1),
        }.items():
            vector |= {f"{row}.{statistic}": value for row, value in zip(names, values, strict=True)}
    vector["tempo.mean"] = f.tempo(onset_envelope=librosa.onset.onset_strength(S=log_mel, sr=rate), sr=rate)[0]
    return vector


def main() -> None:
    path, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 21
    y, rate = soundfile.read(path, dtype="float32")
    power = np.abs(librosa.stft(y)) ** 2
    mel = librosa.feature.melspectrogram(y=y, sr=rate)
    log_mel = librosa.power_to_db(mel)
    mfcc = librosa.feature.mfcc(S=log_mel)
    magnitude = np.sqrt(power)
    parts = librosa.stft(y)
    bank = librosa.filters.mel(sr=rate, n_fft=2048)

    def wav_to_log_mel_and_mfcc() -> tuple[np.ndarray, np.ndarray]:
        y, rate = soundfile.read(path, dtype="float32")
        log_mel = librosa.power_to_db(librosa.feature.melspectrogram(y=y, sr=rate))
        return log_mel, librosa.feature.mfcc(S=log_mel)

    steps = {
        "wav_to_log_mel_and_mfcc": wav_to_log_mel_and_mfcc,
        "wav_to_whole_set": lambda: whole_set(path),
        "decode": lambda: soundfile.read(path, dtype="float32"),
        "stft_power": lambda: np.abs(librosa.stft(y)) ** 2,
        "stft_complex": lambda: librosa.stft(y),
        "istft": lambda: librosa.istft(parts, length=len(y)),
        "mel_apply": lambda: bank @ power,
        "samples_to_mel": lambda: librosa.feature.melspectrogram(y=y, sr=rate),
        "power_to_db": lambda: librosa.power_to_db(mel),
        "mfcc": lambda: librosa.feature.mfcc(S=log_mel),
        "delta": lambda: librosa.feature.delta(mfcc),
        "hpss_decompose": lambda: librosa.decompose.hpss(magnitude),
        "hpss_waveforms": lambda: librosa.effects.hpss(y),
    }
    times = {name: time_of(rounds, step) for name, step in steps.items()}
    report = {"level": f"librosa {librosa.__version__}", "rounds": rounds}
    report["median_ms"] = {name: median for name, (median, _) in times.items()}
    report["fastest_ms"] = {name: fastest for name, (_, fastest) in times.items()}
    report["vector"] = {name: float(value) for name, value in whole_set(path).items()}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
