"""Arguments, as NumPy and the compiled part take them."""

from __future__ import annotations

import operator
import os
from typing import Any, Callable

import numpy as np

from ._errors import ParameterError



def as_source(source: Any) -> Any:
    """Audio in one of three forms: a path as `str`, the content of a file as `bytes`, or `(samples, sr)` with mono `float32` samples.

    Takes paths (`str`, `os.PathLike`, of any bytes), `bytes` and what is like it (the content of a file, not a path), a file that is
    open for reading in binary mode, and `(y, sr)` with `y` of shape `(n,)` or `(channels, n)`, of which the mean is taken.
    """
    if isinstance(source, (str, os.PathLike)):
        return os.fsdecode(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    if isinstance(source, tuple) and len(source) == 2:
        y, sr = source
        y = np.asarray(y)
        if not np.issubdtype(y.dtype, np.floating) or y.ndim not in (1, 2):
            raise ParameterError(f"samples must be floats of shape (n,) or (channels, n), not {y.dtype} of shape {y.shape}")
        if not is_whole(sr) or not 1 <= sr < 2**32:
            raise ParameterError(f"the sample rate must be a whole number of Hz, not {sr!r}")
        return float32(y if y.ndim == 1 else y.mean(axis=0)), int(sr)
    if hasattr(source, "read"):
        content = source.read()
        if not isinstance(content, (bytes, bytearray, memoryview)):
            raise ParameterError(f"{source!r} gives {type(content).__name__}, not bytes: open it in binary mode")
        return bytes(content)
    raise ParameterError(
        f"expected a path, the bytes of a file, a file open for reading or (samples, sr), found {type(source).__name__}"
    )


def float32(values: np.ndarray) -> np.ndarray:
    """`values` as aligned, C-contiguous `float32`: itself, if it is that."""
    return np.require(values, np.float32, ["C_CONTIGUOUS", "ALIGNED"])


def is_whole(value: Any) -> bool:
    """Whether `value` is a whole number, if only by its value, as 22050.0 is."""
    try:
        return float(value).is_integer()
    except (TypeError, ValueError, OverflowError):
        return False


def positive_int(name: str, value: Any) -> int:
    """`value` as an `int` of at least 1."""
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if number < 1:
        raise ParameterError(f"{name}={value!r} must be a positive integer")
    return number


def audio(y: Any) -> np.ndarray:
    """`y`, if it is audio: a NumPy array of floats, `(..., n)` with n ≥ 1. That all are finite is seen where they are read."""
    if not isinstance(y, np.ndarray):
        raise ParameterError(f"audio must be a numpy.ndarray, not {type(y).__name__}")
    if not np.issubdtype(y.dtype, np.floating):
        raise ParameterError(f"audio must be of floats, not {y.dtype}; divide integers by their full scale, 32768 for 16 bits")
    if y.ndim == 0 or y.size == 0:
        raise ParameterError(f"audio must have at least one sample, not shape {y.shape}")
    return y


def energies(name: str, S: np.ndarray) -> np.ndarray:
    """`S`, if it is a spectrogram `(..., bins, frames)` of finite energies."""
    if np.iscomplexobj(S):
        raise ParameterError(f"{name} is only defined for a spectrogram of real values: take np.abs(S)")
    if S.ndim < 2:
        raise ParameterError(f"S must have the shape (..., bins, frames), not {S.shape}")
    if S.size:
        # A NaN is both least and greatest.
        least, greatest = S.min(), S.max()
        if not (np.isfinite(least) and np.isfinite(greatest)):
            raise ParameterError(f"{name} is only defined for finite values")
        if least < 0:
            raise ParameterError(f"{name} is only defined for energies of at least 0, found {least}")
    return S


def real_dtype(values: np.ndarray) -> type:
    """The type of results: `float64` of `float64`, else `float32`."""
    return np.float64 if values.dtype in (np.float64, np.complex128) else np.float32


def over_leading(values: np.ndarray, n_core: int, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """`function` of each array of the last `n_core` axes, put together as the axes before them are."""
    leading = values.shape[: values.ndim - n_core]
    if not leading:
        return function(values)
    parts = [function(part) for part in values.reshape((-1,) + values.shape[values.ndim - n_core :])]
    return np.stack(parts).reshape(leading + parts[0].shape)


def framewise(S: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """`function` of `S` `(..., bins, frames)` as one matrix `(bins, all frames)`; what it gives, `(rows, all frames)` or `(all frames,)`,
    as `(..., rows, frames)`."""
    if S.ndim == 2:
        return np.atleast_2d(function(S))
    leading, frames = S.shape[:-2], S.shape[-1]
    out = np.atleast_2d(function(np.moveaxis(S, -2, 0).reshape(S.shape[-2], -1)))
    return np.moveaxis(out.reshape((out.shape[0],) + leading + (frames,)), 0, -2)


def normalize(S: np.ndarray, norm: float | None, axis: int) -> np.ndarray:
    """`S` divided by its norms along `axis` (`np.inf`, `-np.inf`, 0, or a number over 0; None leaves it as it is); what has a norm below the
    least normal number stays as it is."""
    if norm is None:
        return S
    magnitude = np.abs(S).astype(np.float64)
    if norm == np.inf:
        length = magnitude.max(axis=axis, keepdims=True)
    elif norm == -np.inf:
        length = magnitude.min(axis=axis, keepdims=True)
    elif norm == 0:
        length = np.count_nonzero(magnitude, axis=axis, keepdims=True).astype(np.float64)
    elif isinstance(norm, (int, float, np.number)) and norm > 0:
        length = np.power(np.power(magnitude, norm).sum(axis=axis, keepdims=True), 1.0 / norm)
    else:
        raise ParameterError(f"norm={norm!r} must be None, np.inf, -np.inf, 0 or a number over 0")
    floats = S.dtype if np.issubdtype(S.dtype, np.floating) else np.dtype(np.float32)
    return (S / np.where(length < np.finfo(floats).tiny, 1.0, length)).astype(floats, copy=False)
