"""By librosa 0.11: the descriptor set with its defaults, under the names of parity_dump, and the 57 Kaggle descriptors."""

import librosa
import numpy as np


def describe(y, sr=22050):
    """Name -> array (frames last) of everything that `features/examples/parity_dump.rs` writes."""
    magnitude = np.abs(librosa.stft(y))
    power = magnitude**2
    log_mel = librosa.power_to_db(librosa.feature.melspectrogram(S=power, sr=sr))
    mfcc = librosa.feature.mfcc(S=log_mel, n_mfcc=20)
    onset = librosa.onset.onset_strength(S=log_mel, sr=sr)
    harmonic, percussive = librosa.effects.hpss(y)
    f = librosa.feature
    out = {
        "log_mel": log_mel,
        "mfcc": mfcc,
        "delta": f.delta(mfcc),
        "delta2": f.delta(mfcc, order=2),
        "centroid": f.spectral_centroid(S=magnitude, sr=sr)[0],
        "bandwidth": f.spectral_bandwidth(S=magnitude, sr=sr)[0],
        "rolloff": f.spectral_rolloff(S=magnitude, sr=sr)[0],
        "flatness": f.spectral_flatness(S=magnitude)[0],
        "contrast": f.spectral_contrast(S=magnitude, sr=sr),
        "rms": f.rms(y=y)[0],
        "zcr": f.zero_crossing_rate(y)[0],
        "tuning": np.array([librosa.estimate_tuning(S=power, sr=sr)]),
        "chroma": f.chroma_stft(S=power, sr=sr),
        "onset": onset,
        "tempogram": f.tempogram(onset_envelope=onset, sr=sr),
        "tempo": f.tempo(onset_envelope=onset, sr=sr),
        "harmonic": harmonic,
        "percussive": percussive,
    }
    return {name: np.asarray(values) for name, values in out.items()}


def kaggle57(y, sr=22050, of_its_time=True):
    """Name -> value of the columns of features_30_sec.csv, in its order, as the librosa of that time gave them.

    Found by trial against the table: frames padded by reflection (the default before 0.10), separated waveforms inverted
    without a length and filled up with zeros, and the tempo of beat_track, from the median onset strength.
    `of_its_time=False` gives what librosa 0.11 gives by default.
    """
    pad_mode = "reflect" if of_its_time else "constant"
    stft = librosa.stft(y, pad_mode=pad_mode)
    magnitude = np.abs(stft)
    power = magnitude**2
    log_mel = librosa.power_to_db(librosa.feature.melspectrogram(S=power, sr=sr))
    onset = librosa.onset.onset_strength(S=log_mel, sr=sr, aggregate=np.median if of_its_time else np.mean)
    length = None if of_its_time else len(y)
    parts = [
        librosa.util.fix_length(librosa.istft(part, length=length), size=len(y))
        for part in librosa.decompose.hpss(stft)
    ]
    f = librosa.feature
    series = {
        "chroma_stft": f.chroma_stft(S=power, sr=sr),
        "rms": f.rms(y=y, pad_mode=pad_mode),
        "spectral_centroid": f.spectral_centroid(S=magnitude, sr=sr),
        "spectral_bandwidth": f.spectral_bandwidth(S=magnitude, sr=sr),
        "rolloff": f.spectral_rolloff(S=magnitude, sr=sr),
        "zero_crossing_rate": f.zero_crossing_rate(y),
        "harmony": parts[0],
        "perceptr": parts[1],
    }
    mfcc = f.mfcc(S=log_mel, n_mfcc=20)
    out = {}

    def add(name, values):
        out[f"{name}_mean"], out[f"{name}_var"] = float(np.mean(values)), float(np.var(values))

    for name, values in series.items():
        add(name, values)
    out["tempo"] = float(f.tempo(onset_envelope=onset, sr=sr)[0]) if onset.any() else 0.0
    for i, values in enumerate(mfcc):
        add(f"mfcc{i + 1}", values)
    return out
