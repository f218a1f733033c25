"""Windows of frames, as `scipy.signal.get_window` gives them (periodic), without SciPy for the common ones."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ._errors import ParameterError

_COSINE_SUMS = {
    "hann": (0.5, 0.5),
    "hamming": (0.54, 0.46),
    "blackman": (0.42, 0.5, 0.08),
    "nuttall": (0.3635819, 0.4891775, 0.1365995, 0.0106411),
    "blackmanharris": (0.35875, 0.48829, 0.14128, 0.01168),
    "flattop": (0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368),
}
_ALIASES = {
    **{alias: "hann" for alias in ("han", "hanning")},
    **{alias: "hamming" for alias in ("ham", "hamm")},
    **{alias: "blackman" for alias in ("black", "blk")},
    **{alias: "nuttall" for alias in ("nut", "nutl")},
    **{alias: "blackmanharris" for alias in ("bkh", "blackharr")},
    **{alias: "flattop" for alias in ("flat", "flt")},
    **{alias: "boxcar" for alias in ("box", "ones", "rect", "rectangular")},
    **{alias: "triang" for alias in ("tri", "triangle")},
    **{alias: "bartlett" for alias in ("bart", "brt")},
    **{alias: "cosine" for alias in ("halfcosine",)},
    **{alias: "kaiser" for alias in ("ksr",)},
    **{alias: "gaussian" for alias in ("gauss", "gss")},
    **{alias: "tukey" for alias in ("tuk",)},
}


def frame_window(window: Any, win_length: int, n_fft: int) -> np.ndarray | None:
    """The `n_fft` weights of a frame: `window` of `win_length` weights, with zeros around it. None for a Hann window of `n_fft`.

    `window` is a name, a tuple of a name and its parameters, a number (the beta of a Kaiser window), a function of the length, or the
    weights themselves.
    """
    if win_length > n_fft:
        raise ParameterError(f"win_length={win_length} must be at most n_fft={n_fft}")
    if isinstance(window, str):
        window = _ALIASES.get(window, window)
        if window == "hann" and win_length == n_fft:
            return None
    weights = weights_of(window, win_length)
    if win_length == n_fft:
        return weights
    before = (n_fft - win_length) // 2
    return np.pad(weights, (before, n_fft - win_length - before))


def weights_of(window: Any, length: int, is_periodic: bool = True) -> np.ndarray:
    """The `length` weights of a window, as `float64`; one that is named is periodic or symmetric."""
    if callable(window):
        weights = np.asarray(window(length), dtype=np.float64)
    elif isinstance(window, (str, tuple)) or np.isscalar(window):
        return _named(window, length, is_periodic)
    elif isinstance(window, (list, np.ndarray)):
        weights = np.asarray(window, dtype=np.float64)
    else:
        raise ParameterError(f"window={window!r} is no name, tuple, number, function or array of weights")
    if weights.shape != (length,):
        raise ParameterError(f"the window has the shape {weights.shape}, not ({length},)")
    return weights


@functools.lru_cache(maxsize=64)
def _named(window: Any, length: int, is_periodic: bool) -> np.ndarray:
    if isinstance(window, str):
        name, parameters = window, ()
    elif isinstance(window, tuple) and window and isinstance(window[0], str):
        name, parameters = window[0], window[1:]
    elif isinstance(window, (int, float, np.number)):
        name, parameters = "kaiser", (float(window),)
    else:
        raise ParameterError(f"window={window!r} is no name, number or tuple of a name and its parameters")
    weights = _computed(_ALIASES.get(name, name), tuple(parameters), length if is_periodic else length - 1)
    if weights is None:
        weights = _by_scipy(window, length, is_periodic)
    elif length == 1:
        weights = np.ones(1)
    elif not is_periodic:
        weights = np.append(weights, weights[0])
    weights.setflags(write=False)
    return weights


def _computed(name: str, parameters: tuple, length: int) -> np.ndarray | None:
    """The first `length` weights of a symmetric window of `length + 1`, which make a periodic one; None if it is not computed here."""
    length = max(length, 1)
    n = np.arange(length, dtype=np.float64)
    middle = length / 2.0
    if name in _COSINE_SUMS and not parameters:
        angle = 2.0 * np.pi * n / length - np.pi
        return sum(a * np.cos(k * angle) for k, a in enumerate(_COSINE_SUMS[name]))
    if name == "general_hamming" and len(parameters) == 1:
        (alpha,) = parameters
        return alpha - (1.0 - alpha) * np.cos(2.0 * np.pi * n / length)
    if name == "boxcar" and not parameters:
        return np.ones(length)
    if name == "bartlett" and not parameters:
        return 1.0 - np.abs(n - middle) / middle
    if name == "triang" and not parameters:
        # Of an odd number of weights the outermost are not 0.
        half = (length + 2) / 2.0 if length % 2 == 0 else (length + 1) / 2.0
        return 1.0 - np.abs(n - middle) / half
    if name == "cosine" and not parameters:
        return np.sin(np.pi / (length + 1) * (n + 0.5))
    if name == "kaiser" and len(parameters) == 1:
        (beta,) = parameters
        return np.i0(beta * np.sqrt(1.0 - ((n - middle) / middle) ** 2)) / np.i0(beta)
    if name == "gaussian" and len(parameters) == 1:
        (deviation,) = parameters
        return np.exp(-0.5 * ((n - middle) / deviation) ** 2)
    if name == "tukey" and len(parameters) <= 1:
        taper = (parameters[0] if parameters else 0.5) / 2.0
        if taper <= 0:
            return np.ones(length)
        # Distance from the nearer end, in parts of the whole.
        distance = np.minimum(n, length - n) / length
        return np.where(distance < taper, 0.5 - 0.5 * np.cos(np.pi * distance / min(taper, 0.5)), 1.0)
    return None


def _by_scipy(window: Any, length: int, is_periodic: bool) -> np.ndarray:
    try:
        from scipy.signal import get_window
    except ImportError:
        names = ", ".join(sorted({*_COSINE_SUMS, "boxcar", "triang", "bartlett", "cosine"}))
        raise ParameterError(
            f"window={window!r} is not one of {names}, ('kaiser', beta), ('gaussian', std), ('tukey', alpha) and "
            "('general_hamming', alpha); others need SciPy: pip install scipy"
        ) from None
    try:
        return np.asarray(get_window(window, length, fftbins=is_periodic), dtype=np.float64)
    except ValueError as error:
        raise ParameterError(f"window={window!r}: {error}") from error
