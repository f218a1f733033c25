"""Tempogram and tempo. Public as `tonearm.feature.tempogram` and `tonearm.feature.tempo`."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from . import _tonearm
from ._checks import float32, is_whole, normalize, over_leading, positive_int
from ._errors import ParameterError
from ._windows import weights_of
from .onset import onset_strength


def _strength(y: np.ndarray | None, sr: float, onset_envelope: np.ndarray | None, hop_length: int) -> np.ndarray:
    if onset_envelope is None:
        if y is None:
            raise ParameterError("either y or onset_envelope must be given")
        return onset_strength(y=y, sr=sr, hop_length=hop_length)
    onset_envelope = np.asarray(onset_envelope)
    if onset_envelope.ndim == 0 or onset_envelope.shape[-1] == 0:
        raise ParameterError(f"onset_envelope must have at least one value, not shape {onset_envelope.shape}")
    if not np.isfinite(onset_envelope).all():
        raise ParameterError("every value of onset_envelope must be a finite number")
    return onset_envelope


def tempogram(
    *,
    y: np.ndarray | None = None,
    sr: float = 22050,
    onset_envelope: np.ndarray | None = None,
    hop_length: int = 512,
    win_length: int = 384,
    center: bool = True,
    window: Any = "hann",
    norm: float | None = np.inf,
) -> np.ndarray:
    """The autocorrelation of the onset strength around each frame: `(..., win_length, frames)`, by lags from 0 to `win_length − 1` frames.

    Of audio `y` `(..., n)` or of an onset strength `(..., frames)`. `norm` is that of each frame; by default its greatest value is 1.
    """
    win_length, hop_length = positive_int("win_length", win_length), positive_int("hop_length", hop_length)
    strength = _strength(y, sr, onset_envelope, hop_length)
    if center and norm == np.inf and isinstance(window, str) and window == "hann" and strength.dtype == np.float32:
        values = over_leading(float32(strength), 1, lambda x: _tonearm.tempogram(x, win_length))
        return values.astype(np.float64)
    n = strength.shape[-1]
    if center:
        widths = [(0, 0)] * (strength.ndim - 1) + [(win_length // 2,) * 2]
        strength = np.pad(strength, widths, mode="linear_ramp", end_values=0)
    if strength.shape[-1] < win_length:
        raise ParameterError(f"win_length={win_length} is too large for {n} values with center=False")
    frames = np.lib.stride_tricks.sliding_window_view(strength, win_length, axis=-1)
    frames = frames[..., :n, :] if center else frames
    spectrum = np.fft.rfft(frames * weights_of(window, win_length), n=2 * win_length, axis=-1)
    correlation = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, axis=-1)[..., :win_length]
    return normalize(np.swapaxes(correlation, -1, -2), norm, axis=-2)


def tempo(
    *,
    y: np.ndarray | None = None,
    sr: float = 22050,
    onset_envelope: np.ndarray | None = None,
    tg: np.ndarray | None = None,
    hop_length: int = 512,
    start_bpm: float = 120,
    std_bpm: float = 1.0,
    ac_size: float = 8.0,
    max_tempo: float | None = 320.0,
    aggregate: Callable | None = np.mean,
    prior: Any = None,
) -> np.ndarray:
    """The tempo in beats a minute: `(..., 1)`, or one for each frame with `aggregate=None`.

    Of audio `y`, of an onset strength, or of a tempogram `tg`. The prior is log-normal about `start_bpm`, with a deviation of `std_bpm`
    octaves; tempi from `max_tempo` on are ruled out. `prior` is a distribution with `logpdf` instead, such as one of `scipy.stats`.
    `ac_size` is the length of the autocorrelation in seconds.
    """
    if not start_bpm > 0:
        raise ParameterError(f"start_bpm={start_bpm} must be over 0")
    hop_length = positive_int("hop_length", hop_length)
    if tg is None:
        strength = _strength(y, sr, onset_envelope, hop_length)
        # Whole samples, then whole frames.
        lags = int(ac_size * sr) // hop_length
        if lags < 1:
            raise ParameterError(f"ac_size={ac_size} s is shorter than a frame of {hop_length} samples")
        limit = np.inf if max_tempo is None else float(max_tempo)
        # Some lag is slow enough.
        has_choice = lags > 1 and 60.0 * sr / (hop_length * (lags - 1)) < limit
        if has_choice and strength.dtype == np.float32 and aggregate is np.mean and prior is None and is_whole(sr):
            deviation = (float(start_bpm), float(std_bpm))
            return over_leading(
                float32(strength),
                1,
                lambda x: np.array([_tonearm.tempo(x, int(sr), hop_length, float(ac_size), deviation, limit)]),
            )
        tg = tempogram(onset_envelope=strength, hop_length=hop_length, win_length=lags)
    tg = np.asarray(tg)
    lags = tg.shape[-2]
    if aggregate is not None:
        tg = aggregate(tg, axis=-1, keepdims=True)
    with np.errstate(divide="ignore"):
        bpms = 60.0 * sr / (hop_length * np.arange(lags, dtype=np.float64))
        octaves = np.log2(bpms) - np.log2(start_bpm)
    log_prior = -0.5 * (octaves / std_bpm) ** 2 if prior is None else np.array(prior.logpdf(bpms), dtype=np.float64)
    if max_tempo is not None:
        log_prior[: int(np.argmax(bpms < max_tempo))] = -np.inf
    return bpms[np.argmax(np.log1p(1e6 * tg) + log_prior[:, np.newaxis], axis=-2)]
