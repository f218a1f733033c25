"""Tonearm: audio features and music-genre classifiers.

    import tonearm

    y, sr = tonearm.load("track.mp3")
    log_mel = tonearm.power_to_db(tonearm.feature.melspectrogram(y=y, sr=sr))
    tonearm.Classifier.load("svm").predict("track.mp3")

Features have the names, arguments, defaults, shapes and types of librosa 0.11.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import core, decompose, effects, feature, filters, onset
from ._errors import AudioError, AudioNotFoundError, AudioWarning, ParameterError, TonearmError
from ._tonearm import __version__
from .audio import load
from .core import (
    amplitude_to_db,
    fft_frequencies,
    hz_to_mel,
    istft,
    mel_frequencies,
    mel_to_hz,
    power_to_db,
    resample,
    stft,
)

if TYPE_CHECKING:
    from .classifier import Classifier, Prediction
    from .extractor import Extractor, FeatureTable
    from .store import FeatureStore

# Imported when first used: what each holds, by its module.
_LAZY_NAMES = {
    "Classifier": "classifier",
    "Extractor": "extractor",
    "FeatureStore": "store",
    "FeatureTable": "extractor",
    "Prediction": "classifier",
}
_LAZY_MODULES = ("classifier", "extractor", "sklearn", "splits", "store", "torch")

__all__ = [
    "AudioError",
    "AudioNotFoundError",
    "AudioWarning",
    "Classifier",
    "Extractor",
    "FeatureStore",
    "FeatureTable",
    "ParameterError",
    "Prediction",
    "TonearmError",
    "__version__",
    "amplitude_to_db",
    "core",
    "decompose",
    "effects",
    "feature",
    "fft_frequencies",
    "filters",
    "hz_to_mel",
    "istft",
    "load",
    "mel_frequencies",
    "mel_to_hz",
    "onset",
    "power_to_db",
    "resample",
    "stft",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY_NAMES:
        return getattr(importlib.import_module(f"{__name__}.{_LAZY_NAMES[name]}"), name)
    if name in _LAZY_MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY_NAMES, *_LAZY_MODULES})
