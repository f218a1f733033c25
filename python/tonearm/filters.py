"""Filter banks, with the names and arguments of librosa 0.11."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np

from . import _tonearm
from ._checks import is_whole, normalize, positive_int
from ._errors import ParameterError
from ._windows import weights_of
from .core import fft_frequencies, mel_frequencies

__all__ = ["chroma", "get_window", "mel"]


def mel(
    *,
    sr: float,
    n_fft: int,
    n_mels: int = 128,
    fmin: float = 0.0,
    fmax: float | None = None,
    htk: bool = False,
    norm: Any = "slaney",
    dtype: Any = np.float32,
) -> np.ndarray:
    """Triangular filters `(n_mels, 1 + n_fft // 2)` that turn a spectrum into mel bands.

    `fmax` is half of `sr` by default. `norm` is `"slaney"` for triangles of area 1, None for triangles of height 1, or a number for bands
    of that norm 1.
    """
    bank = mel_bank(sr, n_fft, n_mels, fmin, fmax, htk, norm)
    return bank.weights().astype(dtype)


class MelBank:
    """A mel filter bank: the compiled one, or the matrix for arguments that the compiled one does not take."""

    def __init__(self, sr: float, n_fft: int, n_mels: int, fmin: float, fmax: float, htk: bool, norm: Any):
        self.compiled = None
        self.matrix = None
        is_compiled = (
            n_fft % 2 == 0
            and n_mels <= 512
            and is_whole(sr)
            and 0 < sr < 2**32
            and 0 <= fmin < fmax <= sr / 2
            and (norm is None or norm == "slaney")
        )
        if is_compiled:
            self.compiled = _tonearm.MelFilterbank(int(sr), n_fft, n_mels, fmin, fmax, htk, norm == "slaney")
        else:
            self.matrix = _mel_by_numpy(sr, n_fft, n_mels, fmin, fmax, htk, norm)
        edges = mel_frequencies(n_mels + 2, fmin=fmin, fmax=fmax, htk=htk)
        self.has_empty = bool(np.any((edges[:-2] != 0) & (self.weights().max(axis=1) <= 0)))

    def weights(self) -> np.ndarray:
        """The filters as a matrix."""
        return self.compiled.dense() if self.matrix is None else self.matrix

    def apply(self, S: np.ndarray) -> np.ndarray:
        """The bands `(n_mels, frames)` of a contiguous `float32` spectrogram `(bins, frames)`."""
        return self.compiled.apply(S) if self.matrix is None else self.matrix @ S


def mel_bank(sr: float, n_fft: int, n_mels: int, fmin: float, fmax: float | None, htk: bool, norm: Any) -> MelBank:
    """The filter bank for these arguments, the same one for the same arguments."""
    n_fft, n_mels = positive_int("n_fft", n_fft), positive_int("n_mels", int(n_mels))
    fmax = sr / 2 if fmax is None else fmax
    if isinstance(norm, str) and norm != "slaney":
        raise ParameterError(f"norm={norm!r} must be 'slaney', None, np.inf or a number")
    bank = _cached_bank(float(sr), n_fft, n_mels, float(fmin), float(fmax), bool(htk), norm)
    if bank.has_empty:
        warnings.warn(
            "Empty filters detected in the mel filter bank: some bands hold no bin and stay silent. Raise n_fft, or lower n_mels.",
            stacklevel=3,
        )
    return bank


@functools.lru_cache(maxsize=64)
def _cached_bank(*arguments: Any) -> MelBank:
    return MelBank(*arguments)


def _mel_by_numpy(sr: float, n_fft: int, n_mels: int, fmin: float, fmax: float, htk: bool, norm: Any) -> np.ndarray:
    edges = mel_frequencies(n_mels + 2, fmin=fmin, fmax=fmax, htk=htk)
    left, centre, right = (edges[i : i + n_mels, np.newaxis] for i in range(3))
    hz = fft_frequencies(sr=sr, n_fft=n_fft)
    with np.errstate(divide="ignore", invalid="ignore"):
        triangles = np.minimum((hz - left) / (centre - left), (right - hz) / (right - centre))
    weights = np.maximum(triangles, 0.0).astype(np.float32)
    if isinstance(norm, str):
        return (weights * (2.0 / (right - left))).astype(np.float32)
    return normalize(weights, norm, axis=-1)


def chroma(
    *,
    sr: float,
    n_fft: int,
    n_chroma: int = 12,
    tuning: float = 0.0,
    ctroct: float = 5.0,
    octwidth: float | None = 2,
    norm: float | None = 2,
    base_c: bool = True,
    dtype: Any = np.float32,
) -> np.ndarray:
    """Filters `(n_chroma, 1 + n_fft // 2)` that turn a spectrum into pitch classes.

    `tuning` is in classes off A440; octaves are weighted about `ctroct` (octaves over A0) with the deviation `octwidth`, or all alike with
    None; `norm` is that of each bin before that; class 0 is C with `base_c`, otherwise A.
    """
    n_fft, n_chroma = positive_int("n_fft", n_fft), positive_int("n_chroma", n_chroma)
    if norm == 2 and n_fft % 2 == 0 and is_whole(sr) and 0 < sr < 2**32:
        octaves = (float(ctroct), None if octwidth is None else float(octwidth))
        return _tonearm.chroma_filters(int(sr), n_fft, float(tuning), n_chroma, octaves, bool(base_c)).astype(dtype, copy=False)
    return _chroma_by_numpy(sr, n_fft, n_chroma, tuning, ctroct, octwidth, norm, base_c).astype(dtype)


def _chroma_by_numpy(
    sr: float, n_fft: int, n_chroma: int, tuning: float, ctroct: float, octwidth: float | None, norm: float | None, base_c: bool
) -> np.ndarray:
    a0 = 440.0 * 2.0 ** (tuning / n_chroma) / 16.0
    hz = np.arange(1, n_fft) * (sr / n_fft)
    pitch = n_chroma * np.log2(hz / a0)
    # 0 Hz has no pitch: it is put one and a half octaves below the first bin.
    pitch = np.concatenate(([pitch[0] - 1.5 * n_chroma], pitch))
    width = np.concatenate((np.maximum(np.diff(pitch), 1.0), [1.0]))
    half = np.round(n_chroma / 2.0)
    distance = np.remainder(pitch - np.arange(n_chroma)[:, np.newaxis] + half + 10 * n_chroma, n_chroma) - half
    weights = normalize(np.exp(-0.5 * (2.0 * distance / width) ** 2), norm, axis=0)
    if octwidth is not None:
        weights = weights * np.exp(-0.5 * ((pitch / n_chroma - ctroct) / octwidth) ** 2)
    if base_c:
        weights = np.roll(weights, -3 * (n_chroma // 12), axis=0)
    return np.ascontiguousarray(weights[:, : 1 + n_fft // 2])


def get_window(window: Any, Nx: int, *, fftbins: bool = True) -> np.ndarray:
    """The `Nx` weights of a window, periodic or, with `fftbins=False`, symmetric.

    `window` is a name (`hann`, `hamming`, `blackman`, `boxcar`, …), a tuple of a name and its parameters (`("kaiser", 8.0)`), a number (the
    beta of a Kaiser window), a function of the length, or the weights themselves.
    """
    return np.array(weights_of(window, positive_int("Nx", Nx), bool(fftbins)))
