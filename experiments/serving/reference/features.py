"""Vectors of a track by librosa: the input of the service that Tonearm replaces, in two sizes.

`gtzan` is the table of the public GTZAN notebooks: mean and variance of chroma, RMS, spectral centroid, bandwidth and
rolloff, zero crossings, the harmonic and the percussive part, and 20 MFCC; tempo and length: 58 columns. `mfcc` is mean and
deviation of 20 MFCC, the least that could still be called this service. Both share what can be shared: one STFT.
"""

import librosa
import numpy as np

RATE = 22050


def load(file):
    """Samples, mono at 22,050 Hz, of a path or an open file."""
    return librosa.load(file, sr=RATE, mono=True)[0]


def gtzan(y):
    f = librosa.feature
    spectrum = librosa.stft(y)
    magnitude = np.abs(spectrum)
    power = magnitude**2
    log_mel = librosa.power_to_db(f.melspectrogram(S=power, sr=RATE))
    centroid = f.spectral_centroid(S=magnitude, sr=RATE)
    harmonic, percussive = (librosa.istft(part, length=len(y)) for part in librosa.decompose.hpss(spectrum))
    rows = [
        f.chroma_stft(S=power, sr=RATE).ravel(),
        f.rms(S=magnitude)[0],
        centroid[0],
        f.spectral_bandwidth(S=magnitude, sr=RATE, centroid=centroid)[0],
        f.spectral_rolloff(S=magnitude, sr=RATE)[0],
        f.zero_crossing_rate(y)[0],
        harmonic,
        percussive,
        *f.mfcc(S=log_mel, n_mfcc=20),
    ]
    tempo = f.tempo(onset_envelope=librosa.onset.onset_strength(S=log_mel, sr=RATE), sr=RATE)[0]
    return np.array([len(y), tempo, *(moment(row) for row in rows for moment in (np.mean, np.var))])


def mfcc(y):
    coefficients = librosa.feature.mfcc(y=y, sr=RATE, n_mfcc=20)
    return np.concatenate([coefficients.mean(axis=1), coefficients.std(axis=1)])


def log_mel(y, rows=128, columns=None):
    """The log-mel image `[rows, columns, 3]` from 0 to 1: of 128 bands, 11.5 frames a second; stretched to the size that is asked for."""
    from scipy.ndimage import zoom

    mel = librosa.feature.melspectrogram(y=y, sr=RATE, hop_length=1920, center=False)
    image = librosa.power_to_db(mel, ref=np.max) / 80 + 1
    if columns is not None:
        image = zoom(image, (rows / image.shape[0], columns / image.shape[1]), order=1)
    return np.repeat(image[:, :, None], 3, axis=2).astype(np.float32)


SETS = {"gtzan": gtzan, "mfcc": mfcc}
