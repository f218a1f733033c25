"""Lays the Python functions of Tonearm beside those of librosa 0.11 on 20 signals, and writes the table of docs/parity.md.

    OMP_NUM_THREADS=1 python experiments/parity/python.py [--write docs/parity.md]

Needs `librosa==0.11.0` and the wheel (python/README.md). Without --write the table is printed. Exits with 1 if a difference is over its
tolerance. python/tests/test_parity.py holds the same functions on the same signals to the same tolerances.
"""

import argparse
import pathlib
import re
import sys
import warnings
from dataclasses import dataclass, field
from typing import Callable

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import signals as formulas  # noqa: E402

SAMPLE_RATE = formulas.SAMPLE_RATE


def noise(exponent: float, seed: int, n: int = 2 * SAMPLE_RATE) -> np.ndarray:
    """Noise whose power falls as 1 / f^exponent: white 0, pink 1, brown 2."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(n))
    spectrum[1:] /= np.arange(1, len(spectrum)) ** (exponent / 2)
    spectrum[0] = 0
    x = np.fft.irfft(spectrum, n)
    return 0.5 * x / np.abs(x).max()


def sweep(low: float, high: float, n: int = 2 * SAMPLE_RATE) -> np.ndarray:
    """A sine whose frequency in Hz goes from `low` to `high`, as fast in octaves all along."""
    t, seconds = np.arange(n) / SAMPLE_RATE, n / SAMPLE_RATE
    rate = np.log(high / low) / seconds
    return 0.7 * np.sin(2 * np.pi * low * np.expm1(rate * t) / rate)


def all_signals() -> dict[str, np.ndarray]:
    """Twenty signals by name: the six of signals.py, and 14 more."""
    t = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    odd = np.arange(22_051) / SAMPLE_RATE
    impulse = np.zeros(SAMPLE_RATE)
    impulse[9_000] = 0.9
    more = {
        "white noise": noise(0, 1),
        "pink noise": noise(1, 2),
        "brown noise": noise(2, 3),
        "sine": 0.5 * np.sin(2 * np.pi * 440 * t),
        "sweep up": sweep(30, 10_000),
        "quiet sweep down": 1e-3 * sweep(8_000, 50),
        "impulses": np.where(np.arange(2 * SAMPLE_RATE) % 2_756 == 100, 0.8, 0.0),
        "one impulse": impulse,
        "silence": np.zeros(SAMPLE_RATE),
        "constant": np.full(SAMPLE_RATE, 0.25),
        "square wave": 0.4 * np.sign(np.sin(2 * np.pi * 196.3 * t + 0.1)),
        "short": noise(0, 4, 700),
        "odd length": 0.4 * np.sin(2 * np.pi * 311.1 * odd) * (1 + np.sin(2 * np.pi * 4 * odd)) + 0.1 * np.sin(2 * np.pi * 2_000 * odd),
        "beyond full scale": 8 * (noise(1, 5) + 0.3 * np.sin(2 * np.pi * 97 * t)),
    }
    return {name: formulas.samples(name) for name in formulas.ALL} | {name: x.astype(np.float32) for name, x in more.items()}


@dataclass(frozen=True)
class Case:
    """A function that both libraries have under the same name."""

    name: str
    #: Of the library, audio and its rate.
    call: Callable
    unit: str
    #: A relative difference is |ours − theirs| / max(|theirs|, floor); the floor is in units, or with `of_peak` a part of the greatest.
    floor: float
    #: Greatest relative difference.
    tolerance: float
    of_peak: bool = False
    #: Below it, in units, a value is rounding alone.
    least: float = 1e-9
    #: Signals on which the two cannot be compared, and why.
    apart: dict = field(default_factory=dict)

    def difference(self, ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
        """Greatest absolute and greatest relative difference."""
        ours, theirs = np.asarray(ours), np.asarray(theirs)
        if not ours.size:
            return 0.0, 0.0
        kind = np.complex128 if np.iscomplexobj(theirs) else np.float64
        ours, theirs = ours.astype(kind), theirs.astype(kind)
        # NaN and infinity where librosa has them are no difference.
        same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
        absolute = np.where(same, 0.0, np.abs(ours - theirs))
        peak = np.abs(theirs[np.isfinite(theirs)]).max(initial=0.0)
        floor = max(self.floor * peak, self.least) if self.of_peak else self.floor
        return float(absolute.max()), float((absolute / np.maximum(np.abs(theirs), floor)).max())


def low_band(x: np.ndarray, part: float = 0.85) -> np.ndarray:
    """The spectrum of a whole signal below a part of half of its rate."""
    spectrum = np.fft.rfft(x.astype(np.float64))
    return spectrum[: int(part * len(spectrum))] / len(x)


def log_mel(lib, y, sr, **kwargs):
    return lib.power_to_db(lib.feature.melspectrogram(y=y, sr=sr, **kwargs))


def magnitude(lib, y):
    return np.abs(lib.stft(y))


FLAT = dict.fromkeys(("impulses", "one impulse"), "the spectrum of an impulse is flat: the peaks that tell the tuning are rounding")
SCIPY = {"short": "SciPy's median filter reads beyond a row that is much shorter than its kernel"}

CASES = [
    Case("stft", lambda lib, y, sr: lib.stft(y), "", 1e-3, 1e-5, of_peak=True),
    Case("stft, hamming, win_length 1200, reflect", lambda lib, y, sr: lib.stft(y, window="hamming", win_length=1200, pad_mode="reflect"), "", 1e-3, 1e-5, of_peak=True),
    Case("stft, n_fft 1023, boxcar", lambda lib, y, sr: lib.stft(y, n_fft=1023, window="boxcar"), "", 1e-3, 1e-5, of_peak=True),
    Case("istft", lambda lib, y, sr: lib.istft(lib.stft(y), length=len(y)), "full scale", 1e-3, 1e-3, of_peak=True),
    Case("istft, hop 300, no length", lambda lib, y, sr: lib.istft(lib.stft(y, n_fft=1200, hop_length=300), hop_length=300), "full scale", 1e-3, 1e-3, of_peak=True),
    Case("power_to_db, ref max", lambda lib, y, sr: lib.power_to_db(lib.feature.melspectrogram(y=y, sr=sr), ref=np.max), "dB", 1.0, 1e-4),
    Case("amplitude_to_db", lambda lib, y, sr: lib.amplitude_to_db(magnitude(lib, y)), "dB", 1.0, 1e-4),
    Case("melspectrogram", lambda lib, y, sr: lib.feature.melspectrogram(y=y, sr=sr), "", 1e-6, 1e-5, of_peak=True),
    Case("melspectrogram, htk, norm 1, power 1, not centred", lambda lib, y, sr: lib.feature.melspectrogram(y=y, sr=sr, n_fft=512, hop_length=160, htk=True, norm=1, power=1, n_mels=40, fmin=50, fmax=8000, center=False), "", 1e-6, 1e-5, of_peak=True),
    Case("log-mel", log_mel, "dB", 1.0, 1e-4),
    Case("mfcc", lambda lib, y, sr: lib.feature.mfcc(y=y, sr=sr), "dB", 1.0, 2e-4),
    Case("mfcc, type 3, lifter", lambda lib, y, sr: lib.feature.mfcc(y=y, sr=sr, n_mfcc=13, dct_type=3, lifter=22, n_mels=40, fmax=8000), "dB", 1.0, 1e-3),
    Case("delta", lambda lib, y, sr: lib.feature.delta(lib.feature.mfcc(y=y, sr=sr)), "dB/frame", 0.1, 1e-3),
    Case("delta, order 2", lambda lib, y, sr: lib.feature.delta(lib.feature.mfcc(y=y, sr=sr), order=2), "dB/frame²", 0.1, 1e-3),
    Case("delta, width 5, nearest", lambda lib, y, sr: lib.feature.delta(lib.feature.mfcc(y=y, sr=sr), width=5, mode="nearest"), "dB/frame", 0.1, 1e-3),
    Case("chroma_stft", lambda lib, y, sr: lib.feature.chroma_stft(y=y, sr=sr), "", 1e-3, 1e-4, apart=FLAT),
    Case("chroma_stft, tuning 0, norm 2", lambda lib, y, sr: lib.feature.chroma_stft(y=y, sr=sr, tuning=0.0, norm=2, n_chroma=24), "", 1e-3, 1e-4),
    Case("spectral_centroid", lambda lib, y, sr: lib.feature.spectral_centroid(y=y, sr=sr), "Hz", 1.0, 1e-5),
    Case("spectral_bandwidth", lambda lib, y, sr: lib.feature.spectral_bandwidth(y=y, sr=sr), "Hz", 1.0, 1e-5),
    Case("spectral_bandwidth, p 3", lambda lib, y, sr: lib.feature.spectral_bandwidth(y=y, sr=sr, p=3), "Hz", 1.0, 1e-5),
    Case("spectral_contrast", lambda lib, y, sr: lib.feature.spectral_contrast(y=y, sr=sr), "dB", 1.0, 1e-4),
    Case("spectral_contrast, linear", lambda lib, y, sr: lib.feature.spectral_contrast(y=y, sr=sr, linear=True, n_bands=4), "", 1e-3, 1e-4, of_peak=True, least=1e-2),
    Case("spectral_flatness", lambda lib, y, sr: lib.feature.spectral_flatness(y=y), "", 1e-10, 1e-4),
    Case("spectral_rolloff", lambda lib, y, sr: lib.feature.spectral_rolloff(y=y, sr=sr), "Hz", 1.0, 1e-6),
    Case("rms", lambda lib, y, sr: lib.feature.rms(y=y), "full scale", 1e-6, 1e-5),
    Case("rms of S", lambda lib, y, sr: lib.feature.rms(S=magnitude(lib, y)), "full scale", 1e-6, 1e-5),
    Case("zero_crossing_rate", lambda lib, y, sr: lib.feature.zero_crossing_rate(y), "", 1e-6, 1e-6),
    Case("onset_strength", lambda lib, y, sr: lib.onset.onset_strength(y=y, sr=sr), "dB", 0.01, 1e-3),
    Case("onset_strength, median, lag 2", lambda lib, y, sr: lib.onset.onset_strength(y=y, sr=sr, aggregate=np.median, lag=2, max_size=3), "dB", 0.01, 1e-3),
    Case("tempogram", lambda lib, y, sr: lib.feature.tempogram(y=y, sr=sr), "", 1e-3, 1e-3),
    Case("tempo", lambda lib, y, sr: lib.feature.tempo(y=y, sr=sr), "bpm", 1.0, 1e-6),
    Case("decompose.hpss", lambda lib, y, sr: np.stack(lib.decompose.hpss(magnitude(lib, y))), "", 1e-3, 1e-4, of_peak=True, apart=SCIPY),
    Case("decompose.hpss, margins (2, 3)", lambda lib, y, sr: np.stack(lib.decompose.hpss(magnitude(lib, y), margin=(2.0, 3.0), kernel_size=(15, 31))), "", 1e-3, 1e-4, of_peak=True, apart=SCIPY),
    Case("effects.hpss", lambda lib, y, sr: np.stack(lib.effects.hpss(y)), "full scale", 1e-2, 1e-3, of_peak=True, apart=SCIPY),
    Case("resample to 16 kHz, below 0.85 of Nyquist", lambda lib, y, sr: low_band(lib.resample(y, orig_sr=sr, target_sr=16_000)), "full scale", 1.0, 2e-3, of_peak=True),
    Case("filters.mel", lambda lib, y, sr: lib.filters.mel(sr=sr, n_fft=2048), "", 1e-6, 1e-6, of_peak=True),
    Case("filters.mel, htk, norm inf, n_fft 1023", lambda lib, y, sr: lib.filters.mel(sr=sr, n_fft=1023, htk=True, norm=np.inf, n_mels=30), "", 1e-6, 1e-5, of_peak=True),
    Case("filters.chroma", lambda lib, y, sr: lib.filters.chroma(sr=sr, n_fft=2048, tuning=0.1), "", 1e-6, 1e-5, of_peak=True),
    Case("filters.chroma, norm 1, base A", lambda lib, y, sr: lib.filters.chroma(sr=sr, n_fft=1024, norm=1, base_c=False, octwidth=None), "", 1e-6, 1e-5, of_peak=True),
    Case("hz_to_mel", lambda lib, y, sr: np.stack([lib.hz_to_mel(np.linspace(0, sr / 2, 500), htk=htk) for htk in (False, True)]), "mel", 1e-3, 1e-12),
    Case("mel_to_hz", lambda lib, y, sr: np.stack([lib.mel_to_hz(np.linspace(0, 60, 500), htk=htk) for htk in (False, True)]), "Hz", 1e-3, 1e-12),
]


def table(ours, theirs) -> tuple[str, list[str]]:
    """The table of greatest differences, and what is over its tolerance."""
    lines = ["| function | unit | floor | absolute | relative | on | tolerance |", "|---|---|---|---|---|---|---|"]
    failures = []
    audio = all_signals()
    for case in CASES:
        worst = (0.0, 0.0, "equal")
        for name, y in audio.items():
            if name in case.apart:
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    expected = case.call(theirs, y, SAMPLE_RATE)
                except theirs.ParameterError:
                    # Both refuse a signal that is too short; the tests see to that.
                    continue
                absolute, relative = case.difference(case.call(ours, y, SAMPLE_RATE), expected)
            where = name if relative > worst[1] else worst[2]
            worst = (max(absolute, worst[0]), max(relative, worst[1]), where)
        floor = f"{case.floor:g} of the greatest" if case.of_peak else f"{case.floor:g}"
        lines.append(f"| {case.name} | {case.unit} | {floor} | {worst[0]:.1e} | {worst[1]:.1e} | {worst[2]} | {case.tolerance:.0e} |")
        if worst[1] > case.tolerance:
            failures.append(f"{case.name}: {worst[1]:.1e} on {worst[2]}, over {case.tolerance:.0e}")
    apart = sorted({(name, reason) for case in CASES for name, reason in case.apart.items()})
    names = {pair: ", ".join(case.name for case in CASES if case.apart.get(pair[0]) == pair[1]) for pair in apart}
    lines += ["", "Not compared:"] + [f"- {names[pair]} on *{pair[0]}*: {pair[1]}." for pair in apart]
    return "\n".join(lines), failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=pathlib.Path, help="document whose marked table is replaced")
    args = parser.parse_args()
    import librosa
    import tonearm

    rows, failures = table(tonearm, librosa)
    text = f"tonearm {tonearm.__version__}, librosa {librosa.__version__}, NumPy {np.__version__}; {len(all_signals())} signals.\n\n{rows}"
    if args.write:
        document = args.write.read_text()
        marked = re.compile(r"(<!-- begin python -->\n).*?(<!-- end python -->)", re.DOTALL)
        if not marked.search(document):
            sys.exit(f"{args.write} has no mark for the table python")
        args.write.write_text(marked.sub(lambda m: f"{m[1]}{text}\n{m[2]}", document))
    else:
        print(text)
    for failure in failures:
        print(f"over its tolerance: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
