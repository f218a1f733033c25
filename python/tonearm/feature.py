"""Features of audio, with the names, arguments, defaults, shapes and types of librosa 0.11.

Each function takes audio `y` `(..., n)`, whose spectrogram it computes, or a spectrogram `S` `(..., bins, frames)`. Audio and spectrograms of
`float32` go to the compiled functions; see the functions for arguments that NumPy computes instead.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from . import _tonearm
from ._checks import audio, energies, float32, framewise, is_whole, normalize, over_leading, positive_int, real_dtype
from ._errors import ParameterError
from ._rhythm import tempo, tempogram
from .core import Framing, fft_frequencies, owned_power_to_db, power_to_db, spectrum
from .filters import chroma as chroma_filters
from .filters import mel_bank

__all__ = [
    "chroma_stft",
    "delta",
    "melspectrogram",
    "mfcc",
    "rms",
    "spectral_bandwidth",
    "spectral_centroid",
    "spectral_contrast",
    "spectral_flatness",
    "spectral_rolloff",
    "tempo",
    "tempogram",
    "zero_crossing_rate",
]


class _Spectrogram:
    """The spectrogram that a function is of: given, or computed."""

    def __init__(self, name: str, y: Any, S: Any, kind: str, n_fft: int | None, framing: dict):
        if S is not None:
            self.S = energies(name, np.asarray(S))
            bins = self.S.shape[-2]
            self.n_fft = n_fft if n_fft is not None and n_fft // 2 + 1 == bins else 2 * (bins - 1)
            self.is_single = self.S.dtype == np.float32
            self.dtype = real_dtype(self.S)
        else:
            if y is None:
                raise ParameterError(f"either y or S must be given for {name}")
            if n_fft is None:
                raise ParameterError(f"n_fft must be given for {name} of y")
            frames = Framing(n_fft, **framing)
            self.S, self.n_fft = spectrum(y, frames, kind), frames.n_fft
            self.is_single = True
            self.dtype = real_dtype(y)

    def is_compiled(self, sr: float = 1) -> bool:
        """Whether the compiled functions know the frequencies of its bins."""
        return self.is_single and self.n_fft % 2 == 0 and self.n_fft >= 2 and is_whole(sr) and 0 < sr < 2**32


def _frequencies(freq: Any, spectrogram: _Spectrogram, sr: float) -> np.ndarray:
    """The frequencies of bins, so that they multiply a spectrogram."""
    freq = fft_frequencies(sr=sr, n_fft=spectrogram.n_fft) if freq is None else np.asarray(freq)
    if freq.shape[-1 if freq.ndim == 1 else -2] != spectrogram.S.shape[-2]:
        raise ParameterError(f"freq has the shape {freq.shape}, and the spectrogram has {spectrogram.S.shape[-2]} bins")
    return freq[:, np.newaxis] if freq.ndim == 1 else freq


def melspectrogram(
    *,
    y: np.ndarray | None = None,
    sr: float = 22050,
    S: np.ndarray | None = None,
    n_fft: int = 2048,
    hop_length: int = 512,
    win_length: int | None = None,
    window: Any = "hann",
    center: bool = True,
    pad_mode: Any = "constant",
    power: float = 2.0,
    n_mels: int = 128,
    fmin: float = 0.0,
    fmax: float | None = None,
    htk: bool = False,
    norm: Any = "slaney",
    dtype: Any = np.float32,
) -> np.ndarray:
    """The mel spectrogram `(..., n_mels, frames)`.

    Of audio, with magnitudes raised to `power`, or of a spectrogram `S` as it is. `n_mels`, `fmin`, `fmax`, `htk` and `norm` are those of
    `filters.mel`. For power 2 and even `n_fft` from 16 to 32768 the spectrogram is never whole in memory.
    """
    if S is None:
        if y is None:
            raise ParameterError("either y or S must be given for a mel spectrogram")
        y = audio(y)
        framing = Framing(n_fft, hop_length, win_length, window, center, pad_mode)
        bank = mel_bank(sr, framing.n_fft, n_mels, fmin, fmax, htk, norm)
        is_double = real_dtype(y) is np.float64 or dtype == np.float64
        if power == 2 and framing.is_compiled and bank.compiled is not None:
            signal, adds_zeros = framing.padded(float32(y))
            plan = framing.plan(adds_zeros)
            mel = over_leading(float32(signal), 1, lambda x: bank.compiled.spectrogram(plan, x))
        else:
            magnitude = spectrum(y, framing, "magnitude")
            mel = framewise(magnitude if power == 1 else magnitude**power, lambda m: bank.apply(float32(m)))
        return mel.astype(np.float64, copy=False) if is_double else mel
    S = np.asarray(S)
    if S.ndim < 2:
        raise ParameterError(f"S must have the shape (..., bins, frames), not {S.shape}")
    bins = S.shape[-2]
    if n_fft is None or n_fft // 2 + 1 != bins:
        n_fft = 2 * (bins - 1)
    bank = mel_bank(sr, n_fft, n_mels, fmin, fmax, htk, norm)
    if S.dtype == np.float32 and dtype == np.float32:
        return framewise(S, lambda m: bank.apply(float32(m)))
    return np.matmul(bank.weights().astype(dtype), S)


def mfcc(
    *,
    y: np.ndarray | None = None,
    sr: float = 22050,
    S: np.ndarray | None = None,
    n_mfcc: int = 20,
    dct_type: int = 2,
    norm: str | None = "ortho",
    lifter: float = 0,
    mel_norm: Any = "slaney",
    **kwargs: Any,
) -> np.ndarray:
    """Mel-frequency cepstral coefficients `(..., n_mfcc, frames)`, the 0th among them.

    Of audio, by `melspectrogram` (which takes `kwargs`) and `power_to_db`, or of a log-mel spectrogram `S` `(..., n_mels, frames)` in dB.
    There are at most as many as bands. `dct_type` is 1 to 4, `norm` "ortho" or None; the type 2 with "ortho" is compiled. With `lifter` over
    0 the higher coefficients are raised.
    """
    n_mfcc = positive_int("n_mfcc", n_mfcc)
    if lifter < 0:
        raise ParameterError(f"lifter={lifter} must be at least 0")
    if S is None:
        mel = melspectrogram(y=y, sr=sr, norm=mel_norm, **kwargs)
        S = owned_power_to_db(mel) if mel.dtype == np.float32 and mel.flags.c_contiguous else power_to_db(mel)
    S = np.asarray(S)
    if S.ndim < 2 or S.shape[-2] == 0:
        raise ParameterError(f"S must have the shape (..., n_mels, frames), not {S.shape}")
    n_mels = S.shape[-2]
    n_mfcc = min(n_mfcc, n_mels)
    if S.dtype == np.float32 and dct_type == 2 and norm == "ortho":
        coefficients = framewise(S, lambda m: _mfcc_plan(n_mels, n_mfcc).apply(float32(m)))
    else:
        basis = _dct_basis(n_mels, n_mfcc, dct_type, norm)
        floats = S.dtype if np.issubdtype(S.dtype, np.floating) else np.float64
        coefficients = np.matmul(basis, S).astype(floats, copy=False)
    if lifter > 0:
        lift = 1.0 + lifter / 2.0 * np.sin(np.pi * np.arange(1, n_mfcc + 1) / lifter)
        coefficients = coefficients * lift.astype(coefficients.dtype)[:, np.newaxis]
    return coefficients


@functools.lru_cache(maxsize=32)
def _mfcc_plan(n_mels: int, n_mfcc: int) -> Any:
    return _tonearm.Mfcc(n_mels, n_mfcc)


@functools.lru_cache(maxsize=32)
def _dct_basis(n: int, n_rows: int, dct_type: int, norm: str | None) -> np.ndarray:
    """The first rows of the discrete cosine transform of `n` values, as `scipy.fft.dct` defines its types."""
    if dct_type not in (1, 2, 3, 4):
        raise ParameterError(f"dct_type={dct_type!r} must be 1, 2, 3 or 4")
    if norm not in (None, "ortho"):
        raise ParameterError(f"norm={norm!r} must be 'ortho' or None")
    k, i = np.arange(n_rows, dtype=np.float64)[:, np.newaxis], np.arange(n, dtype=np.float64)
    is_orthonormal = norm == "ortho"
    if dct_type == 1:
        if n < 2:
            raise ParameterError("dct_type=1 needs at least two bands")
        basis = 2.0 * np.cos(np.pi * k * i / (n - 1))
        ends = [0, n - 1]
        basis[:, ends] /= 2.0
        if is_orthonormal:
            basis[:, ends] *= np.sqrt(2.0)
            basis *= np.where((k == 0) | (k == n - 1), np.sqrt(0.25 / (n - 1)), np.sqrt(0.5 / (n - 1)))
        return basis
    if dct_type == 2:
        basis = 2.0 * np.cos(np.pi * k * (2.0 * i + 1.0) / (2.0 * n))
        return basis * np.where(k == 0, np.sqrt(0.25 / n), np.sqrt(0.5 / n)) if is_orthonormal else basis
    if dct_type == 3:
        basis = 2.0 * np.cos(np.pi * (2.0 * k + 1.0) * i / (2.0 * n))
        return basis * np.where(i == 0, np.sqrt(0.25 / n), np.sqrt(0.5 / n)) if is_orthonormal else basis * np.where(i == 0, 0.5, 1.0)
    basis = 2.0 * np.cos(np.pi * (2.0 * k + 1.0) * (2.0 * i + 1.0) / (4.0 * n))
    return basis / np.sqrt(2.0 * n) if is_orthonormal else basis


def delta(data: np.ndarray, *, width: int = 9, order: int = 1, axis: int = -1, mode: str = "interp", **kwargs: Any) -> np.ndarray:
    """The derivative of `order` along `axis`, of polynomials fitted to `width` values around each (Savitzky & Golay 1964).

    `width` is odd and at least 3. `mode` says what stands beyond the ends: `interp` (the first and the last fit), `mirror`, `constant` (with
    `cval`), `nearest` or `wrap`. `polyorder` is the degree, `order` by default. Orders 1 and 2 of `float32` along the last axis with
    `interp` are compiled.
    """
    data = np.atleast_1d(np.asarray(data))
    width, order = positive_int("width", width), positive_int("order", order)
    degree, cval = kwargs.pop("polyorder", order), kwargs.pop("cval", 0.0)
    kwargs.pop("deriv", None)
    spacing = kwargs.pop("delta", 1.0)
    if kwargs:
        raise TypeError(f"delta() got an unexpected keyword argument {next(iter(kwargs))!r}")
    if width < 3 or width % 2 == 0:
        raise ParameterError(f"width={width} must be odd and at least 3")
    n = data.shape[axis]
    if mode == "interp" and width > n:
        raise ParameterError(f"width={width} must be at most {n}, the number of frames, with mode='interp'")
    if degree >= width:
        raise ParameterError(f"polyorder={degree} must be below width={width}")
    if mode == "interp" and order in (1, 2) and degree == order and spacing == 1.0 and data.dtype == np.float32:
        moved = np.moveaxis(data, axis, -1)
        rows = float32(moved.reshape(-1, n))
        out = _tonearm.delta(rows, width, order == 2).reshape(moved.shape)
        return np.moveaxis(out, -1, axis)
    values = np.moveaxis(data, axis, -1).astype(np.float64)
    out = _savitzky_golay(values, width, order, degree, mode, cval) / spacing**order
    floats = data.dtype if np.issubdtype(data.dtype, np.floating) else np.float64
    return np.moveaxis(out, -1, axis).astype(floats, copy=False)


def _savitzky_golay(values: np.ndarray, width: int, order: int, degree: int, mode: str, cval: float) -> np.ndarray:
    half = width // 2
    offsets = np.arange(-half, half + 1, dtype=np.float64)
    # Row p: the coefficient of the power p of the polynomial that is fitted to `width` values.
    fit = np.linalg.pinv(np.vander(offsets, degree + 1, increasing=True))
    factor = [float(np.prod(np.arange(p - order + 1, p + 1))) if p >= order else 0.0 for p in range(degree + 1)]

    def weights(at: float) -> np.ndarray:
        return sum(factor[p] * at ** (p - order) * fit[p] for p in range(order, degree + 1)) if degree >= order else np.zeros(width)

    pad_modes = {"mirror": "reflect", "nearest": "edge", "wrap": "wrap", "constant": "constant"}
    windows = np.lib.stride_tricks.sliding_window_view
    if mode != "interp":
        if mode not in pad_modes:
            raise ParameterError(f"mode={mode!r} must be interp, mirror, constant, nearest or wrap")
        options = {"constant_values": cval} if mode == "constant" else {}
        padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(half, half)], mode=pad_modes[mode], **options)
        return windows(padded, width, axis=-1) @ weights(0.0)
    out = np.empty_like(values)
    out[..., half : values.shape[-1] - half] = windows(values, width, axis=-1) @ weights(0.0)
    for i in range(half):
        out[..., i] = values[..., :width] @ weights(i - half)
        out[..., -1 - i] = values[..., -width:] @ weights(half - i)
    return out


def chroma_stft(
    *,
    y: np.ndarray | None = None,
    sr: float = 22050,
    S: np.ndarray | None = None,
    norm: float | None = np.inf,
    n_fft: int = 2048,
    hop_length: int = 512,
    win_length: int | None = None,
    window: Any = "hann",
    center: bool = True,
    pad_mode: Any = "constant",
    tuning: float | None = None,
    n_chroma: int = 12,
    **kwargs: Any,
) -> np.ndarray:
    """The strength of each pitch class `(..., n_chroma, frames)`.

    Of audio, or of a power spectrogram `S`. `tuning` is in classes off A440; None estimates it, for all leading axes together. `norm` is
    that of each frame; `kwargs` are those of `filters.chroma`: `ctroct`, `octwidth`, `base_c`.
    """
    spectrogram = _Spectrogram("chroma", y, S, "power", n_fft, _framing(hop_length, win_length, window, center, pad_mode))
    S = spectrogram.S
    if tuning is None:
        tuning = _tuning(spectrogram, sr, n_chroma)
    filters = chroma_filters(sr=sr, n_fft=spectrogram.n_fft, tuning=tuning, n_chroma=n_chroma, **kwargs)
    if spectrogram.is_single and norm == np.inf and filters.dtype == np.float32:
        filters = float32(filters)
        return framewise(S, lambda m: _tonearm.chroma(float32(m), filters)).astype(spectrogram.dtype, copy=False)
    return normalize(np.matmul(filters, S), norm, axis=-2).astype(spectrogram.dtype, copy=False)


def _tuning(spectrogram: _Spectrogram, sr: float, n_chroma: int) -> float:
    if spectrogram.n_fft % 2 or not is_whole(sr):
        raise ParameterError("tuning can be estimated for an even n_fft and a whole sample rate alone: give tuning=0.0 or another value")
    S = spectrogram.S
    # The peaks of all channels count alike.
    frames = np.moveaxis(S, -2, 0).reshape(S.shape[-2], -1)
    return _tonearm.estimate_tuning(float32(frames), int(sr), positive_int("n_chroma", n_chroma))


def _framing(hop_length: int, win_length: int | None, window: Any, center: bool, pad_mode: Any) -> dict:
    return {"hop_length": hop_length, "win_length": win_length, "window": window, "center": center, "pad_mode": pad_mode}


def spectral_centroid(
    *,
    y: np.ndarray | None = None,
    sr: float = 22050,
    S: np.ndarray | None = None,
    n_fft: int = 2048,
    hop_length: int = 512,
    freq: np.ndarray | None = None,
    win_length: int | None = None,
    window: Any = "hann",
    center: bool = True,
    pad_mode: Any = "constant",
) -> np.ndarray:
    """The mean frequency of each frame in Hz, weighted by magnitude: `(..., 1, frames)`; 0 of silence.

    `freq` are the frequencies of the bins, `(bins,)` or as the spectrogram, where they are not those of an STFT.
    """
    spectrogram = _Spectrogram("the centroid", y, S, "magnitude", n_fft, _framing(hop_length, win_length, window, center, pad_mode))
    return _centroid(spectrogram, sr, freq)


def _centroid(spectrogram: _Spectrogram, sr: float, freq: Any) -> np.ndarray:
    if freq is None and spectrogram.is_compiled(sr):
        return framewise(spectrogram.S, lambda m: _tonearm.spectral_centroid(float32(m), int(sr))).astype(np.float64)
    freq = _frequencies(freq, spectrogram, sr)
    return (freq * normalize(spectrogram.S, 1, axis=-2)).sum(axis=-2, keepdims=True)


def spectral_bandwidth(
    *,
    y: np.ndarray | None = None,
    sr: float = 22050,
    S: np.ndarray | None = None,
    n_fft: int = 2048,
    hop_length: int = 512,
    win_length: int | None = None,
    window: Any = "hann",
    center: bool = True,
    pad_mode: Any = "constant",
    freq: np.ndarray | None = None,
    centroid: np.ndarray | None = None,
    norm: bool = True,
    p: float = 2,
) -> np.ndarray:
    """The deviation of frequency about the centroid in Hz, of order `p`, weighted by magnitude: `(..., 1, frames)`.

    `norm` says whether the magnitudes of a frame are divided by their sum.
    """
    spectrogram = _Spectrogram("the bandwidth", y, S, "magnitude", n_fft, _framing(hop_length, win_length, window, center, pad_mode))
    if not p > 0:
        raise ParameterError(f"p={p!r} must be over 0")
    S = spectrogram.S
    if centroid is None:
        centroid = _centroid(spectrogram, sr, freq)
    elif np.shape(centroid) != S.shape[:-2] + (1, S.shape[-1]):
        raise ParameterError(f"centroid has the shape {np.shape(centroid)}, and {S.shape[:-2] + (1, S.shape[-1])} is needed")
    if freq is None and norm and p == 2 and spectrogram.is_compiled(sr):
        centres = float32(np.asarray(centroid).reshape(-1))
        return framewise(S, lambda m: _tonearm.spectral_bandwidth(float32(m), int(sr), centres)).astype(np.float64)
    deviation = np.abs(_frequencies(freq, spectrogram, sr) - centroid)
    weights = normalize(S, 1, axis=-2) if norm else S
    return (weights * deviation**p).sum(axis=-2, keepdims=True) ** (1.0 / p)


def spectral_contrast(
    *,
    y: np.ndarray | None = None,
    sr: float = 22050,
    S: np.ndarray | None = None,
    n_fft: int = 2048,
    hop_length: int = 512,
    win_length: int | None = None,
    window: Any = "hann",
    center: bool = True,
    pad_mode: Any = "constant",
    freq: np.ndarray | None = None,
    fmin: float = 200.0,
    n_bands: int = 6,
    quantile: float = 0.02,
    linear: bool = False,
) -> np.ndarray:
    """The level of the strongest bins of each octave band over that of its weakest: `(..., n_bands + 1, frames)`, in dB.

    The first band ends at `fmin`. `quantile` is the part of the bins that make either; with `linear` the difference of magnitudes is given.
    A band without a bin has 0, where librosa stops or gives NaN.
    """
    spectrogram = _Spectrogram("the contrast", y, S, "magnitude", n_fft, _framing(hop_length, win_length, window, center, pad_mode))
    n_bands = positive_int("n_bands", n_bands)
    if not 0.0 < quantile < 1.0:
        raise ParameterError(f"quantile={quantile} must be over 0 and below 1")
    if not fmin > 0:
        raise ParameterError(f"fmin={fmin} must be over 0")
    if fmin * 2.0 ** (n_bands - 1) >= 0.5 * sr:
        raise ParameterError(f"{n_bands} octaves over fmin={fmin} Hz exceed half of sr={sr}: lower fmin or n_bands")
    if freq is None and not linear and spectrogram.is_compiled(sr):
        return framewise(
            spectrogram.S, lambda m: _tonearm.spectral_contrast(float32(m), int(sr), float(fmin), n_bands, float(quantile))
        ).astype(np.float64)
    freq = _frequencies(freq, spectrogram, sr)
    if freq.shape[-1] != 1:
        raise ParameterError("freq must be one frequency a bin for the contrast")
    edges = np.concatenate(([0.0], fmin * 2.0 ** np.arange(n_bands + 1)))
    valley, peak = _extremes(spectrogram.S, freq[:, 0], edges, quantile)
    return peak - valley if linear else power_to_db(peak) - power_to_db(valley)


def _extremes(S: np.ndarray, freq: np.ndarray, edges: np.ndarray, quantile: float) -> tuple[np.ndarray, np.ndarray]:
    """The means of the weakest and of the strongest bins of each band: each reaches one bin below its lower edge and, but for the last,
    leaves its uppermost bin to the next."""
    n_bands = len(edges) - 1
    valley, peak = (np.zeros(S.shape[:-2] + (n_bands, S.shape[-1])) for _ in range(2))
    for band in range(n_bands):
        inside = np.flatnonzero((freq >= edges[band]) & (freq <= edges[band + 1]))
        if not inside.size:
            continue
        first, end = inside[0], inside[-1] + 1
        first = max(first - 1, 0) if band else first
        is_last = band == n_bands - 1
        end = S.shape[-2] if is_last else end
        count = max(int(np.rint(quantile * (end - first))), 1)
        end = end if is_last or end - first < 2 else end - 1
        ordered = np.sort(S[..., first:end, :], axis=-2)
        valley[..., band, :] = ordered[..., :count, :].mean(axis=-2)
        peak[..., band, :] = ordered[..., -count:, :].mean(axis=-2)
    return valley, peak


def spectral_rolloff(
    *,
    y: np.ndarray | None = None,
    sr: float = 22050,
    S: np.ndarray | None = None,
    n_fft: int = 2048,
    hop_length: int = 512,
    win_length: int | None = None,
    window: Any = "hann",
    center: bool = True,
    pad_mode: Any = "constant",
    freq: np.ndarray | None = None,
    roll_percent: float = 0.85,
) -> np.ndarray:
    """The frequency in Hz below and at which `roll_percent` (0 to 1) of the magnitude of a frame lies: `(..., 1, frames)`."""
    if not 0.0 < roll_percent < 1.0:
        raise ParameterError(f"roll_percent={roll_percent} must be over 0 and below 1")
    spectrogram = _Spectrogram("the rolloff", y, S, "magnitude", n_fft, _framing(hop_length, win_length, window, center, pad_mode))
    S = spectrogram.S
    if freq is None and spectrogram.is_compiled(sr):
        values = framewise(S, lambda m: _tonearm.spectral_rolloff(float32(m), int(sr), float(roll_percent)))
        return values.astype(np.float64)
    freq = _frequencies(freq, spectrogram, sr)
    total = np.cumsum(S, axis=-2)
    is_reached = total >= roll_percent * total[..., -1:, :]
    return np.where(is_reached, freq, np.inf).min(axis=-2, keepdims=True)


def spectral_flatness(
    *,
    y: np.ndarray | None = None,
    S: np.ndarray | None = None,
    n_fft: int = 2048,
    hop_length: int = 512,
    win_length: int | None = None,
    window: Any = "hann",
    center: bool = True,
    pad_mode: Any = "constant",
    amin: float = 1e-10,
    power: float = 2.0,
) -> np.ndarray:
    """The geometric over the arithmetic mean of each frame, 0 (a tone) to 1 (noise): `(..., 1, frames)`.

    Of magnitudes raised to `power`, each at least `amin`. Power 2 is compiled.
    """
    if not amin > 0:
        raise ParameterError(f"amin={amin} must be over 0")
    spectrogram = _Spectrogram("the flatness", y, S, "magnitude", n_fft, _framing(hop_length, win_length, window, center, pad_mode))
    S = spectrogram.S
    if power == 2 and spectrogram.is_single and amin >= np.finfo(np.float32).tiny:
        values = framewise(S, lambda m: _tonearm.spectral_flatness(float32(m), float(amin)))
        return values.astype(spectrogram.dtype, copy=False)
    powers = np.maximum(amin, S**power)
    flatness = np.exp(np.log(powers).mean(axis=-2, keepdims=True)) / powers.mean(axis=-2, keepdims=True)
    return flatness.astype(spectrogram.dtype, copy=False)


def rms(
    *,
    y: np.ndarray | None = None,
    S: np.ndarray | None = None,
    frame_length: int = 2048,
    hop_length: int = 512,
    center: bool = True,
    pad_mode: Any = "constant",
    dtype: Any = np.float32,
) -> np.ndarray:
    """The root mean square of each frame: `(..., 1, frames)`. Of audio, or of a spectrogram `S` of magnitudes under a rectangular window."""
    frame_length, hop_length = positive_int("frame_length", frame_length), positive_int("hop_length", hop_length)
    if y is not None:
        y, adds_zeros = _padded(y, frame_length, center, pad_mode)
        values = over_leading(
            float32(y), 1, lambda x: _tonearm.rms(x, frame_length, hop_length, adds_zeros)[np.newaxis]
        )
        return values.astype(dtype, copy=False)
    if S is None:
        raise ParameterError("either y or S must be given for the root mean square")
    S = np.asarray(S)
    if S.ndim < 2 or S.shape[-2] != frame_length // 2 + 1:
        raise ParameterError(f"S of shape {S.shape} must have {frame_length // 2 + 1} bins: frame_length={frame_length}")
    powers = (S.real**2 + S.imag**2 if np.iscomplexobj(S) else S**2).astype(dtype)
    # All but the first and, of an even number, the last frequency stand for two.
    weights = np.full((S.shape[-2], 1), 2.0, dtype=powers.dtype)
    weights[0] = 1.0
    if frame_length % 2 == 0:
        weights[-1] = 1.0
    return np.sqrt((powers * weights).sum(axis=-2, keepdims=True) / frame_length**2)


def _padded(y: Any, frame_length: int, center: bool, pad_mode: Any) -> tuple[np.ndarray, bool]:
    """Audio with what stands before and behind it, unless the compiled function adds it; whether it is to add it."""
    y = audio(y)
    if center and isinstance(pad_mode, str) and pad_mode == "constant":
        return y, True
    if center:
        widths = [(0, 0)] * (y.ndim - 1) + [(frame_length // 2,) * 2]
        try:
            y = np.pad(y, widths, mode=pad_mode)
        except (TypeError, ValueError) as error:
            raise ParameterError(f"pad_mode={pad_mode!r}: {error}") from error
    if y.shape[-1] < frame_length:
        raise ParameterError(f"frame_length={frame_length} is too large for {y.shape[-1]} samples with center=False")
    return y, False


def zero_crossing_rate(
    y: np.ndarray,
    *,
    frame_length: int = 2048,
    hop_length: int = 512,
    center: bool = True,
    threshold: float = 1e-10,
    ref_magnitude: Any = None,
    pad: bool = False,
    zero_pos: bool = True,
) -> np.ndarray:
    """The share of samples of each frame at which the sign changes, 0 to 1: `(..., 1, frames)`.

    Magnitudes up to `threshold` (times `ref_magnitude`, a number or a function of the magnitudes of all frames) count as 0; 0 is positive, unless
    `zero_pos` is False; with `pad` the first sample of a frame counts as a change.
    """
    frame_length, hop_length = positive_int("frame_length", frame_length), positive_int("hop_length", hop_length)
    y = audio(y)
    if threshold == 1e-10 and ref_magnitude is None and not pad and zero_pos:
        if not center and y.shape[-1] < frame_length:
            raise ParameterError(f"frame_length={frame_length} is too large for {y.shape[-1]} samples with center=False")
        values = over_leading(
            float32(y), 1, lambda x: _tonearm.zero_crossing_rate(x, frame_length, hop_length, bool(center))[np.newaxis]
        )
        return values.astype(np.float64)
    if not np.isfinite(y).all():
        raise ParameterError("every sample of the audio must be a finite number")
    y, _ = _padded(y, frame_length, center, "edge")
    frames = np.lib.stride_tricks.sliding_window_view(y, frame_length, axis=-1)[..., ::hop_length, :]
    if callable(ref_magnitude):
        threshold = threshold * ref_magnitude(np.abs(frames))
    elif ref_magnitude is not None:
        threshold = threshold * ref_magnitude
    values = np.where(np.abs(frames) <= threshold, 0.0, frames)
    signs = np.signbit(values) & (values != 0) if zero_pos else np.sign(values)
    changes = signs[..., 1:] != signs[..., :-1]
    return (((changes.sum(axis=-1) + bool(pad)) / frame_length)[..., np.newaxis, :]).astype(np.float64)
