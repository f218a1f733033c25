"""The steps of features/benches/front_end.rs in librosa, one thread; prints the same JSON object.

    python experiments/bench/features_peer.py FILE.wav [ROUNDS]

Run it with OMP_NUM_THREADS=1 and OPENBLAS_NUM_THREADS=1 (experiments/bench/features.sh does). The mel spectrogram is computed
once and shared by the log-mel and the MFCC.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable

import librosa
import numpy as np
import soundfile


def time_of(rounds: int, f: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds of the median and of the fastest of `rounds` runs after one to warm up (librosa compiles and plans lazily)."""
    f()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        f()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times), min(times)


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
        "decode": lambda: soundfile.read(path, dtype="float32"),
        "stft_power": lambda: np.abs(librosa.stft(y)) ** 2,
        "stft_complex": lambda: librosa.stft(y),
        "istft": lambda: librosa.istft(parts, length=len(y)),
        "mel_apply": lambda: bank @ power,
        "samples_to_mel": lambda: librosa.feature.melspectrogram(y=y, sr=rate),
        "power_to_db": lambda: librosa.power_to_db(mel),
        "mfcc": lambda: librosa.feature.mfcc(S=log_mel),
        "delta": lambda: librosa.feature.delta(mfcc),
    }
    slow = {
        "hpss_decompose": lambda: librosa.decompose.hpss(magnitude),
        "hpss_waveforms": lambda: librosa.effects.hpss(y),
    }
    times = {name: time_of(rounds, step) for name, step in steps.items()}
    # Seconds each: fewer rounds are enough.
    times |= {name: time_of(min(rounds, 5), step) for name, step in slow.items()}
    report = {"level": f"librosa {librosa.__version__}", "rounds": rounds}
    report["median_ms"] = {name: median for name, (median, _) in times.items()}
    report["fastest_ms"] = {name: fastest for name, (_, fastest) in times.items()}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
