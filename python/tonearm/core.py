"""Transforms: STFT and its inverse, decibels, resampling and the mel scale, with the names and arguments of librosa 0.11.

Audio of `float32` is computed as it is, without a copy where it is contiguous. Other floats are taken as `float32`; results of `float64`
have that type, and the precision of `float32`. The transform itself is in double precision.
"""

from __future__ import annotations

import functools
import math
import warnings
from fractions import Fraction
from typing import Any, Callable

import numpy as np

from . import _tonearm
from ._checks import audio, float32, over_leading, positive_int, real_dtype
from ._errors import ParameterError
from ._windows import frame_window

__all__ = [
    "amplitude_to_db",
    "fft_frequencies",
    "hz_to_mel",
    "istft",
    "mel_frequencies",
    "mel_to_hz",
    "power_to_db",
    "resample",
    "stft",
]

# Sizes that the compiled transform takes; others go through NumPy's.
_COMPILED_SIZES = range(16, 32769, 2)

# Padding that librosa refuses: it would depend on the whole signal.
_REFUSED_PADDING = ("wrap", "maximum", "mean", "median", "minimum")


class Framing:
    """How a signal is cut into frames: the checked arguments of an STFT."""

    def __init__(
        self,
        n_fft: int = 2048,
        hop_length: int | None = None,
        win_length: int | None = None,
        window: Any = "hann",
        center: bool = True,
        pad_mode: Any = "constant",
    ):
        self.n_fft = positive_int("n_fft", n_fft)
        win_length = self.n_fft if win_length is None else positive_int("win_length", win_length)
        self.hop_length = positive_int("hop_length", max(win_length // 4, 1) if hop_length is None else hop_length)
        self.window = frame_window(window, win_length, self.n_fft)
        self.center = bool(center)
        self.pad_mode = pad_mode
        if self.center and isinstance(pad_mode, str) and pad_mode in _REFUSED_PADDING:
            raise ParameterError(f"pad_mode={pad_mode!r} is not supported for an STFT: take constant, edge, reflect or symmetric")

    @property
    def is_compiled(self) -> bool:
        return self.n_fft in _COMPILED_SIZES and self.hop_length <= 8 * self.n_fft

    def plan(self, center: bool) -> Any:
        """The compiled transform, the same one for the same arguments."""
        weights = None if self.window is None else self.window.tobytes()
        return _stft_plan(self.n_fft, self.hop_length, center, weights)

    def weights(self) -> np.ndarray:
        """The window, if it is the Hann window too."""
        if self.window is None:
            return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(self.n_fft) / self.n_fft)
        return self.window

    def padded(self, y: np.ndarray) -> tuple[np.ndarray, bool]:
        """`y` with what stands before and behind it, unless these are zeros that the compiled transform adds; whether it is to add them."""
        if not self.center:
            if y.shape[-1] < self.n_fft:
                raise ParameterError(
                    f"n_fft={self.n_fft} is too large for {y.shape[-1]} samples with center=False: take center=True or a smaller n_fft"
                )
            return y, False
        if y.shape[-1] < self.n_fft:
            warnings.warn(f"n_fft={self.n_fft} is too large for a signal of {y.shape[-1]} samples", stacklevel=5)
        if self.is_compiled and isinstance(self.pad_mode, str) and self.pad_mode == "constant":
            return y, True
        widths = [(0, 0)] * (y.ndim - 1) + [(self.n_fft // 2,) * 2]
        try:
            return np.pad(y, widths, mode=self.pad_mode), False
        except (TypeError, ValueError) as error:
            raise ParameterError(f"pad_mode={self.pad_mode!r}: {error}") from error


@functools.lru_cache(maxsize=64)
def _stft_plan(n_fft: int, hop_length: int, center: bool, weights: bytes | None) -> Any:
    return _tonearm.Stft(n_fft, hop_length, center, None if weights is None else np.frombuffer(weights))


def spectrum(y: np.ndarray, framing: Framing, kind: str) -> np.ndarray:
    """The spectrogram `(..., 1 + n_fft // 2, frames)` of audio `(..., n)`; `kind` is `complex`, `magnitude` or `power`."""
    y, center = framing.padded(float32(audio(y)))
    if framing.is_compiled:
        plan = framing.plan(center)
        transform = {"complex": plan.complex, "magnitude": plan.magnitude, "power": plan.power}[kind]
        return over_leading(float32(y), 1, transform)
    if not np.isfinite(y).all():
        raise ParameterError("every sample of the audio must be a finite number")
    values = over_leading(y, 1, lambda signal: _stft_by_numpy(signal, framing))
    if kind == "complex":
        return values
    return np.abs(values) if kind == "magnitude" else values.real**2 + values.imag**2


def _stft_by_numpy(y: np.ndarray, framing: Framing) -> np.ndarray:
    frames = np.lib.stride_tricks.sliding_window_view(y, framing.n_fft)[:: framing.hop_length]
    weights = framing.weights()
    out = np.empty((1 + framing.n_fft // 2, len(frames)), dtype=np.complex64)
    for first in range(0, len(frames), 64):
        out[:, first : first + 64] = np.fft.rfft(frames[first : first + 64] * weights).T
    return out


def stft(
    y: np.ndarray,
    *,
    n_fft: int = 2048,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Any = "hann",
    center: bool = True,
    dtype: Any = None,
    pad_mode: Any = "constant",
    out: np.ndarray | None = None,
) -> np.ndarray:
    """The short-time Fourier transform of audio `y` `(..., n)`: complex, `(..., 1 + n_fft // 2, frames)`.

    `hop_length` is `win_length // 4` and `win_length` is `n_fft` by default. With `center`, frame `t` lies around sample
    `t · hop_length`, and `n_fft // 2` samples are padded at either end by `pad_mode` of `numpy.pad`. Even `n_fft` from 16 to 32768 are
    compiled; others are computed by NumPy. Into `out`, of that shape or with more frames, the result is written, if it is given.
    """
    framing = Framing(n_fft, hop_length, win_length, window, center, pad_mode)
    values = spectrum(y, framing, "complex")
    if out is not None:
        if not np.iscomplexobj(out):
            raise ParameterError(f"out must be of a complex type, not {out.dtype}")
        if out.shape[:-1] != values.shape[:-1] or out.shape[-1] < values.shape[-1]:
            raise ParameterError(f"out has the shape {out.shape}, and {values.shape} is needed")
        view = out if out.shape == values.shape else out[..., : values.shape[-1]]
        view[...] = values
        return view
    if dtype is None:
        dtype = np.complex128 if real_dtype(y) is np.float64 else np.complex64
    return values.astype(dtype, copy=False)


def istft(
    stft_matrix: np.ndarray,
    *,
    hop_length: int | None = None,
    win_length: int | None = None,
    n_fft: int | None = None,
    window: Any = "hann",
    center: bool = True,
    dtype: Any = None,
    length: int | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """The signal `(..., n)` whose STFT is nearest to `stft_matrix` `(..., 1 + n_fft // 2, frames)`.

    `length` is its number of samples; by default that of whole hops. Frames behind it are left out.
    """
    stft_matrix = np.asarray(stft_matrix)
    if stft_matrix.ndim < 2:
        raise ParameterError(f"the spectrogram must have the shape (..., bins, frames), not {stft_matrix.shape}")
    bins, frames = stft_matrix.shape[-2:]
    n_fft = 2 * (bins - 1) if n_fft is None else n_fft
    framing = Framing(n_fft, hop_length, win_length, window, center)
    if bins != 1 + framing.n_fft // 2:
        raise ParameterError(f"n_fft={n_fft} has {1 + framing.n_fft // 2} bins, and the spectrogram has {bins}")
    if length:
        length = positive_int("length", length)
    else:
        length = framing.n_fft + framing.hop_length * (frames - 1) - (2 * (framing.n_fft // 2) if center else 0)
        length = max(length, 0)
    if framing.is_compiled and frames > 0 and length > 0:
        plan = framing.plan(framing.center)
        values = np.require(stft_matrix, np.complex64, ["C_CONTIGUOUS", "ALIGNED"])
        y = over_leading(values, 2, lambda matrix: plan.istft(matrix, length))
    else:
        y = over_leading(stft_matrix, 2, lambda matrix: _istft_by_numpy(matrix, framing, length))
    if out is not None:
        if out.shape != y.shape:
            raise ParameterError(f"out has the shape {out.shape}, and {y.shape} is needed")
        out[...] = y
        return out
    return y.astype(real_dtype(stft_matrix) if dtype is None else dtype, copy=False)


def _istft_by_numpy(matrix: np.ndarray, framing: Framing, length: int) -> np.ndarray:
    n_fft, hop, weights = framing.n_fft, framing.hop_length, framing.weights()
    start = n_fft // 2 if framing.center else 0
    frames = min(matrix.shape[-1], math.ceil((length + 2 * start) / hop))
    total = max(n_fft + hop * (frames - 1), start + length)
    signal, weight = np.zeros(total), np.zeros(total)
    for frame in range(frames):
        span = slice(frame * hop, frame * hop + n_fft)
        signal[span] += np.fft.irfft(matrix[:, frame].astype(np.complex128), n=n_fft) * weights
        weight[span] += weights**2
    signal, weight = signal[start : start + length], weight[start : start + length]
    return signal / np.where(weight > np.finfo(np.float32).tiny, weight, 1.0)


def power_to_db(S: Any, *, ref: float | Callable = 1.0, amin: float = 1e-10, top_db: float | None = 80.0) -> Any:
    """Powers of any shape in dB: `10·log10(max(amin, S)) − 10·log10(max(amin, ref))`, no lower than `top_db` below the largest.

    `ref` may be a function of the powers, such as `np.max`.
    """
    S = np.asarray(S)
    if amin <= 0:
        raise ParameterError(f"amin={amin} must be over 0")
    if top_db is not None and top_db < 0:
        raise ParameterError(f"top_db={top_db} must be at least 0")
    if np.iscomplexobj(S):
        warnings.warn("power_to_db leaves out the phase of complex values: take np.abs(D) ** 2", stacklevel=2)
        S = np.abs(S)
    reference = ref(S) if callable(ref) else np.abs(ref)
    reference_db = 10.0 * np.log10(np.maximum(amin, reference))
    # The compiled function has no NaN, and starts from a normal number.
    if S.dtype == np.float32 and S.ndim > 0 and S.size > 0 and amin > 1e-300 and not np.isnan(S.min()):
        db = np.array(S, dtype=np.float32, order="C")
        _tonearm.power_to_db(db.reshape(-1), float(amin), None if top_db is None else float(top_db))
        if reference_db != 0.0:
            db -= reference_db
        return db
    db = 10.0 * np.log10(np.maximum(amin, S))
    db -= reference_db
    if top_db is not None and np.size(db):
        db = np.maximum(db, db.max() - top_db)
    return db


def owned_power_to_db(S: np.ndarray) -> np.ndarray:
    """`power_to_db` with its defaults of a `float32` array that nobody else has, in place."""
    _tonearm.power_to_db(S.reshape(-1), 1e-10, 80.0)
    return S


def amplitude_to_db(S: Any, *, ref: float | Callable = 1.0, amin: float = 1e-5, top_db: float | None = 80.0) -> Any:
    """Amplitudes of any shape in dB: `power_to_db` of their squares, with `ref` and `amin` amplitudes too."""
    S = np.asarray(S)
    if np.iscomplexobj(S):
        warnings.warn("amplitude_to_db leaves out the phase of complex values: take np.abs(D)", stacklevel=2)
    magnitude = np.abs(S)
    reference = ref(magnitude) if callable(ref) else np.abs(ref)
    return power_to_db(np.square(magnitude), ref=reference**2, amin=amin**2, top_db=top_db)


# What the filter here takes the place of: band-limited resampling of high quality.
_RESAMPLERS = ("soxr", "kaiser", "sinc")


def resample(
    y: np.ndarray,
    *,
    orig_sr: float,
    target_sr: float,
    res_type: str = "soxr_hq",
    fix: bool = True,
    scale: bool = False,
    axis: int = -1,
) -> np.ndarray:
    """Audio at another sample rate: `ceil(n · target_sr / orig_sr)` samples along `axis`.

    There is one filter, whatever `res_type` says of `soxr_…`, `kaiser_…` and `sinc_…`: a windowed sinc, flat to ±0.001 dB up to 0.9 of
    the lower Nyquist frequency, with 106 dB of attenuation beyond it. `fix` changes nothing, as the length is always that; `scale` keeps
    the energy. Rates may be any whole numbers or fractions whose ratio has numbers up to 768,000.
    """
    y = audio(y)
    if not isinstance(res_type, str) or not res_type.startswith(_RESAMPLERS):
        raise ParameterError(f"res_type={res_type!r} is not available: there is one filter, which stands for soxr_…, kaiser_… and sinc_…")
    if not (orig_sr > 0 and target_sr > 0 and math.isfinite(orig_sr) and math.isfinite(target_sr)):
        raise ParameterError(f"orig_sr={orig_sr} and target_sr={target_sr} must be over 0")
    if orig_sr == target_sr:
        return y
    plan = _resampler(float(orig_sr), float(target_sr))
    moved = np.moveaxis(y, axis, -1)
    resampled = over_leading(float32(moved), 1, plan.resample)
    if scale:
        resampled = resampled / np.float32(math.sqrt(float(target_sr) / float(orig_sr)))
    return np.ascontiguousarray(np.moveaxis(resampled, -1, axis), dtype=y.dtype)


@functools.lru_cache(maxsize=16)
def _resampler(orig_sr: float, target_sr: float) -> Any:
    # Rates that are no whole numbers are rounded to a thousandth of a Hz.
    ratio = Fraction(orig_sr).limit_denominator(1000) / Fraction(target_sr).limit_denominator(1000)
    # The filter knows the ratio alone, and rates of at least 1 kHz.
    factor = math.ceil(1000 / min(ratio.numerator, ratio.denominator))
    rates = ratio.numerator * factor, ratio.denominator * factor
    if max(rates) > 768_000:
        raise ParameterError(f"orig_sr={orig_sr} to target_sr={target_sr}: the ratio {ratio} has too large numbers or is too far from 1")
    return _tonearm.Resampler(*rates)


# Slaney's mel scale: linear below this frequency, logarithmic above.
_BREAK_HZ, _HZ_PER_MEL = 1000.0, 200.0 / 3.0
_BREAK_MEL, _LOG_STEP = _BREAK_HZ / _HZ_PER_MEL, math.log(6.4) / 27.0


def hz_to_mel(frequencies: Any, *, htk: bool = False) -> Any:
    """Hz in mel, by Slaney's Auditory Toolbox or by HTK's formula."""
    hz = np.asanyarray(frequencies)
    if htk:
        return 2595.0 * np.log10(1.0 + hz / 700.0)
    # Where it is not taken, the logarithm is of 1.
    logarithmic = _BREAK_MEL + np.log(np.maximum(hz, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return np.where(hz >= _BREAK_HZ, logarithmic, hz / _HZ_PER_MEL)[()]


def mel_to_hz(mels: Any, *, htk: bool = False) -> Any:
    """Mel in Hz, by Slaney's Auditory Toolbox or by HTK's formula."""
    mel = np.asanyarray(mels)
    if htk:
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    logarithmic = _BREAK_HZ * np.exp(_LOG_STEP * (np.maximum(mel, _BREAK_MEL) - _BREAK_MEL))
    return np.where(mel >= _BREAK_MEL, logarithmic, mel * _HZ_PER_MEL)[()]


def mel_frequencies(n_mels: int = 128, *, fmin: float = 0.0, fmax: float = 11025.0, htk: bool = False) -> np.ndarray:
    """`n_mels` frequencies in Hz from `fmin` to `fmax`, evenly spaced in mel."""
    return mel_to_hz(np.linspace(hz_to_mel(fmin, htk=htk), hz_to_mel(fmax, htk=htk), n_mels), htk=htk)


def fft_frequencies(*, sr: float = 22050, n_fft: int = 2048) -> np.ndarray:
    """The frequencies in Hz of the `1 + n_fft // 2` bins of a spectrum."""
    return np.fft.rfftfreq(n=n_fft, d=1.0 / sr)
