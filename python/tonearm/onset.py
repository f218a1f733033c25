"""Onset strength, with the names and arguments of librosa 0.11."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from . import _tonearm
from ._checks import float32, over_leading, positive_int
from ._errors import ParameterError
from .core import power_to_db

__all__ = ["onset_strength"]


def onset_strength(
    *,
    y: np.ndarray | None = None,
    sr: float = 22050,
    S: np.ndarray | None = None,
    lag: int = 1,
    max_size: int = 1,
    ref: np.ndarray | None = None,
    detrend: bool = False,
    center: bool = True,
    feature: Callable | None = None,
    aggregate: Callable | None = None,
    n_fft: int = 2048,
    hop_length: int = 512,
    **kwargs: Any,
) -> np.ndarray:
    """How much louder each frame is than the one before, in dB: `(..., frames)`.

    Of audio `y` `(..., n)`, whose log-mel spectrogram is taken (`kwargs` are those of `feature.melspectrogram`, or of `feature`), or of a
    spectrogram `S` `(..., bins, frames)` in dB. Falls count as 0, bands are put together by `aggregate` (the mean). `lag` frames lie
    between those that are compared; with `max_size` over 1 the earlier one is the greatest of so many bands; `ref` takes its place.
    """
    lag, max_size = positive_int("lag", lag), positive_int("max_size", max_size)
    n_fft, hop_length = positive_int("n_fft", n_fft), positive_int("hop_length", hop_length)
    if aggregate is False:
        raise ParameterError("aggregate=False is not available: name a function, such as np.median")
    if S is None:
        if y is None:
            raise ParameterError("either y or S must be given")
        if feature is None:
            from .feature import melspectrogram as feature

            kwargs.setdefault("fmax", 0.5 * sr)
        S = power_to_db(np.abs(feature(y=y, sr=sr, n_fft=n_fft, hop_length=hop_length, **kwargs)))
    S = np.atleast_2d(np.asarray(S))
    if ref is not None and np.shape(ref) != S.shape:
        raise ParameterError(f"ref has the shape {np.shape(ref)}, and S has {S.shape}")
    is_compiled = (
        S.dtype == np.float32
        and lag == 1
        and max_size == 1
        and ref is None
        and not detrend
        and (aggregate is None or aggregate is np.mean or aggregate is np.median)
        and S.size > 0
    )
    if is_compiled:
        is_median = aggregate is np.median
        return over_leading(
            float32(S), 2, lambda m: _tonearm.onset_strength(m, n_fft, hop_length, bool(center), is_median)
        )
    if ref is None:
        ref = S if max_size == 1 else _greatest_of_bands(S, max_size)
    rises = np.maximum(0.0, S[..., lag:] - np.asarray(ref)[..., :-lag])
    strength = np.asarray((np.mean if aggregate is None else aggregate)(rises, axis=-2))
    delay = lag + (n_fft // (2 * hop_length) if center else 0)
    strength = np.pad(strength, [(0, 0)] * (strength.ndim - 1) + [(delay, 0)])
    strength = strength.astype(S.dtype if np.issubdtype(S.dtype, np.floating) else np.float64, copy=False)
    if detrend:
        strength = _without_trend(strength)
    return strength[..., : S.shape[-1]] if center else strength


def _greatest_of_bands(S: np.ndarray, size: int) -> np.ndarray:
    """The running maximum over `size` bands, mirrored at the ends."""
    before = size // 2
    widths = [(0, 0)] * (S.ndim - 2) + [(before, size - 1 - before), (0, 0)]
    padded = np.pad(S, widths, mode="symmetric")
    return np.lib.stride_tricks.sliding_window_view(padded, size, axis=-2).max(axis=-1)


def _without_trend(strength: np.ndarray) -> np.ndarray:
    """A high pass of first order: y[t] = x[t] − x[t−1] + 0.99·y[t−1]."""
    steps = np.diff(strength.astype(np.float64), axis=-1, prepend=0.0)
    out = np.empty_like(steps)
    state = np.zeros(steps.shape[:-1])
    for t in range(steps.shape[-1]):
        state = steps[..., t] + 0.99 * state
        out[..., t] = state
    return out
