"""Harmonic-percussive separation of spectrograms, with the names and arguments of librosa 0.11."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _tonearm
from ._checks import float32, over_leading, positive_int
from ._errors import ParameterError

__all__ = ["hpss"]


def hpss(
    S: np.ndarray, *, kernel_size: Any = 31, power: float = 2.0, mask: bool = False, margin: Any = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """The harmonic and the percussive part of a spectrogram `(..., bins, frames)`, real or complex; with `mask` their soft masks, 0 to 1.

    `kernel_size` is the length of the median filters, in frames and in bins, and `margin` how many times larger than the other part a part
    must be; either may be a pair (harmonic, percussive). `power` is the exponent of the masks, `np.inf` for hard ones.

    After Fitzgerald (2010), with the margins of Driedger, Müller & Disch (2014).
    """
    S = np.asarray(S)
    if S.ndim < 2:
        raise ParameterError(f"S must have the shape (..., bins, frames), not {S.shape}")
    kernels, margins = checked(kernel_size, power, margin)
    magnitude = np.abs(S) if np.iscomplexobj(S) else S
    if magnitude.size and not magnitude.min() >= 0:
        raise ParameterError("harmonic-percussive separation is only defined for magnitudes of at least 0: take np.abs(S)")
    masks = _masks(magnitude, kernels, power, margins)
    if mask:
        return masks
    harmonic, percussive = masks
    return S * harmonic, S * percussive


def checked(kernel_size: Any, power: float, margin: Any) -> tuple[tuple[int, int], tuple[float, float]]:
    """The kernels and the margins of both parts."""
    kernels = kernel_size if isinstance(kernel_size, (tuple, list)) else (kernel_size, kernel_size)
    margins = margin if isinstance(margin, (tuple, list)) else (margin, margin)
    if len(kernels) != 2 or len(margins) != 2:
        raise ParameterError("kernel_size and margin must be a number or a pair (harmonic, percussive)")
    if not all(margin >= 1 for margin in margins):
        raise ParameterError(f"margin={margin!r} must be at least 1; 1 to 10 is usual")
    if not power > 0:
        raise ParameterError(f"power={power!r} must be over 0")
    harmonic, percussive = (positive_int("kernel_size", kernel) for kernel in kernels)
    return (harmonic, percussive), (float(margins[0]), float(margins[1]))


def _masks(
    magnitude: np.ndarray, kernels: tuple[int, int], power: float, margins: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    is_compiled = kernels[0] == kernels[1] and kernels[0] % 2 == 1 and margins[0] == margins[1] and np.isfinite(margins[0])
    dtype = np.float64 if magnitude.dtype == np.float64 else np.float32
    if is_compiled and magnitude.size:
        both = over_leading(
            float32(magnitude), 2, lambda m: np.stack(_tonearm.hpss_masks(m, kernels[0], float(power), margins[0]))
        )
        # (..., part, bins, frames)
        harmonic, percussive = np.moveaxis(both, -3, 0)
        if not np.isfinite(power):
            return harmonic > 0, percussive > 0
        return harmonic.astype(dtype, copy=False), percussive.astype(dtype, copy=False)
    medians = over_leading(float32(magnitude), 2, lambda m: np.stack(_medians(m, kernels)))
    harmonic, percussive = np.moveaxis(medians, -3, 0)
    others = percussive * np.float32(margins[0]), harmonic * np.float32(margins[1])
    if not np.isfinite(power):
        return harmonic > others[0], percussive > others[1]
    split_zeros = margins == (1.0, 1.0)
    masks = (_soft_mask(part, other, power, split_zeros) for part, other in zip((harmonic, percussive), others))
    harmonic, percussive = (mask.astype(dtype, copy=False) for mask in masks)
    return harmonic, percussive


def _soft_mask(part: np.ndarray, other: np.ndarray, power: float, split_zeros: bool) -> np.ndarray:
    greatest = np.maximum(part, other)
    is_silent = greatest < np.finfo(np.float32).tiny
    greatest = np.where(is_silent, np.float32(1.0), greatest)
    ours, theirs = (part / greatest) ** power, (other / greatest) ** power
    total = np.where(is_silent, np.float32(1.0), ours + theirs)
    return np.where(is_silent, np.float32(0.5 if split_zeros else 0.0), ours / total)


def _medians(magnitude: np.ndarray, kernels: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    if kernels[0] % 2 == 1 and kernels[1] % 2 == 1 and magnitude.size:
        return _tonearm.hpss_medians(magnitude, *kernels)
    return _median_by_numpy(magnitude, kernels[0]), _median_by_numpy(magnitude.T, kernels[1]).T


def _median_by_numpy(values: np.ndarray, kernel: int) -> np.ndarray:
    """The running median of each row over `kernel` values, mirrored at the ends; of an even number the upper of the middle ones."""
    before = kernel // 2
    padded = np.pad(values, ((0, 0), (before, kernel - 1 - before)), mode="symmetric")
    out = np.empty_like(values)
    for row, source in zip(out, padded):
        windows = np.lib.stride_tricks.sliding_window_view(source, kernel)
        row[:] = np.partition(windows, before, axis=-1)[:, before]
    return out
