"""Harmonic-percussive separation of signals, with the names and arguments of librosa 0.11."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _tonearm, decompose
from ._checks import audio, float32, over_leading
from ._errors import ParameterError
from .core import Framing, istft, stft

__all__ = ["harmonic", "hpss", "percussive"]


def hpss(
    y: np.ndarray,
    *,
    kernel_size: Any = 31,
    power: float = 2.0,
    mask: bool = False,
    margin: Any = 1.0,
    n_fft: int = 2048,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Any = "hann",
    center: bool = True,
    pad_mode: Any = "constant",
) -> tuple[np.ndarray, np.ndarray]:
    """The harmonic and the percussive part of audio `(..., n)`, each of the same shape.

    See `tonearm.decompose.hpss` for `kernel_size`, `power` and `margin`, and `tonearm.stft` for the rest. Masks are of spectrograms:
    `mask=True` is refused here.
    """
    y = audio(y)
    if mask:
        raise ParameterError("mask=True gives no signals: take tonearm.decompose.hpss(tonearm.stft(y), mask=True)")
    kernels, margins = decompose.checked(kernel_size, power, margin)
    framing = Framing(n_fft, hop_length, win_length, window, center, pad_mode)
    is_compiled = (
        framing.is_compiled
        and (not framing.center or pad_mode == "constant")
        and kernels[0] == kernels[1]
        and kernels[0] % 2 == 1
        and margins[0] == margins[1]
        and np.isfinite(margins[0])
    )
    if is_compiled:
        _, center = framing.padded(y)
        plan = framing.plan(center)
        both = over_leading(
            float32(y), 1, lambda x: np.stack(_tonearm.hpss_waveforms(plan, x, kernels[0], float(power), margins[0]))
        )
        both = both.astype(y.dtype, copy=False)
        return both[..., 0, :], both[..., 1, :]
    framed = {"n_fft": n_fft, "hop_length": hop_length, "win_length": win_length, "window": window, "center": center}
    parts = decompose.hpss(stft(y, pad_mode=pad_mode, **framed), kernel_size=kernel_size, power=power, margin=margin)
    whole, percussion = (istft(part, length=y.shape[-1], dtype=y.dtype, **framed) for part in parts)
    return whole, percussion


def harmonic(y: np.ndarray, **kwargs: Any) -> np.ndarray:
    """The harmonic part of audio `(..., n)`; see `hpss` for the arguments."""
    return hpss(y, **kwargs)[0]


def percussive(y: np.ndarray, **kwargs: Any) -> np.ndarray:
    """The percussive part of audio `(..., n)`; see `hpss` for the arguments."""
    return hpss(y, **kwargs)[1]
