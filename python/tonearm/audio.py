"""Reading audio files: `tonearm.load`."""

from __future__ import annotations

import math
import os
import warnings
from typing import IO, Any

import numpy as np

from . import _tonearm
from ._checks import as_source
from ._errors import AudioWarning, ParameterError
from .core import resample

__all__ = ["load"]


def load(
    path: str | bytes | os.PathLike | IO[bytes],
    *,
    sr: float | None = 22050,
    mono: bool = True,
    offset: float = 0.0,
    duration: float | None = None,
    dtype: Any = np.float32,
    res_type: str = "soxr_hq",
) -> tuple[np.ndarray, float]:
    """Samples `(n,)`, full scale ±1, of an audio file, and their rate in Hz.

    `path` is a path, the content of a file as `bytes`, or a file open for reading in binary mode. WAV, AIFF, AU, CAF, VOC, FLAC, MPEG audio,
    Ogg Vorbis, Opus, M4A, AAC, Matroska and WebM are read, told by their content. `sr` is the rate to convert to, None for that of the file
    (see `resample` for the filter). With `mono=False` the shape is `(channels, n)` for more than one channel; `mono` takes their mean, and
    the loudest of them where they cancel each other out. `offset` and `duration` are in seconds; nothing behind that part is decoded.

    What is wrong with a file that can be read all the same comes as an `AudioWarning`, silence too. A file that cannot be read raises an
    `AudioError` with its path and the reason.
    """
    if isinstance(path, tuple):
        raise ParameterError("expected a path, the bytes of a file or a file open for reading, found samples")
    if not (math.isfinite(offset) and offset >= 0):
        raise ParameterError(f"offset={offset} must be at least 0 seconds")
    if duration is not None and not (math.isfinite(duration) and duration >= 0):
        raise ParameterError(f"duration={duration} must be at least 0 seconds, or None for all")
    if sr is not None and not (math.isfinite(sr) and sr > 0):
        raise ParameterError(f"sr={sr} must be over 0 Hz, or None for that of the file")
    if not np.issubdtype(np.dtype(dtype), np.floating):
        raise ParameterError(f"dtype={np.dtype(dtype)} must be a type of floats")
    source = as_source(path)
    samples, rate, channels, notes = _tonearm.load(source, bool(mono), float(offset), None if duration is None else float(duration))
    name = source if isinstance(source, str) else "audio"
    for note in notes:
        warnings.warn(f"{name}: {note}", AudioWarning, stacklevel=2)
    y = samples if channels == 1 else samples.reshape(-1, channels).T
    if sr is None:
        sr = rate
    elif y.size:
        y = resample(y, orig_sr=rate, target_sr=sr, res_type=res_type)
    # A view of interleaved samples is no array to compute with.
    return np.ascontiguousarray(y, dtype=dtype), sr
