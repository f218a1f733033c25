"""Classifiers that were trained: their labels, probabilities and vectors for audio."""

from __future__ import annotations

import json
import os
import warnings
from typing import Any

import numpy as np

from . import _tonearm
from ._errors import ParameterError, TonearmError
from ._work import Progress, check_errors, settled, showing, sources_of, threads_of

__all__ = ["Classifier", "Prediction"]


class Prediction(dict):
    """What a model says of a clip: the answer of `POST /predict`, with its fields as keys and as attributes.

    `predicted_genre` is the most probable label, `probabilities` has one for each label. `labels_90` holds the true label for nine tracks in
    ten by new artists, and `novelty` says whether the audio is like the training set and what kind of sound it is; `None` of a model that was
    not calibrated for them. `segments` is the timeline, `model` what the model was trained on and how good it was found to be, `audio` what was
    decoded, with its `warnings`; `audio` is not there for samples.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            if name == "labels_90":
                return None
            raise AttributeError(f"a prediction has no field {name!r}; it has {', '.join(self)}") from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]

    def __reduce__(self) -> tuple:
        return (type(self), (dict(self),))

    @property
    def label(self) -> str:
        """The most probable label."""
        return self["predicted_genre"]

    @property
    def probability(self) -> float:
        """Its probability, 0 to 1."""
        return self["probabilities"][self["predicted_genre"]]

    def __repr__(self) -> str:
        return f"<Prediction {self.label!r} {self.probability:.3f} by {self['model']['name']} {self['model']['version']}>"


class Classifier:
    """A model that was trained, ready to predict. Make one with :meth:`load`.

    It may be used from several threads, and pickled: what is pickled is where the model was found and its version, not its weights. A process
    that was forked loads the model again when it first uses it.

    >>> import tonearm
    >>> model = tonearm.Classifier.load("svm")
    >>> model.predict("song.mp3").predicted_genre        # doctest: +SKIP
    'reggae'
    """

    _held: _tonearm.Classifier
    _options: dict[str, Any]
    _process: int

    def __init__(self) -> None:
        raise TypeError("make a classifier with Classifier.load('svm')")

    @classmethod
    def load(
        cls,
        model: str | os.PathLike | None = "svm",
        *,
        artifacts: str | os.PathLike | None = None,
        version: str | None = None,
        device: str | None = None,
        threads: int | None = None,
        max_seconds: float | None = None,
    ) -> Classifier:
        """Loads a model, checks every byte of it, and has it predict a test tone.

        Parameters
        ----------
        model
            The name of a model, such as ``"svm"``, ``"vgg19"``, ``"ensemble"`` or one of your own; or the path of the folder of a model or of
            a version of one: a `pathlib.Path`, or text with a separator, such as ``"./dances"``. `None` is the model that `serve classify`
            would take: the ensemble where it and its members are found, else the SVM or the only model.
        artifacts
            A folder of artifacts, or its URL (``s3://``, ``gs://``, ``az://``, ``http://``), or ``"embedded"``. Without it, ``TONEARM_ARTIFACTS``
            names it; else a model is looked for in ``artifacts`` beside the interpreter, in ``../share/tonearm/artifacts`` from there, in the
            data folder of the user (``~/.local/share/tonearm/artifacts``) and in ``./artifacts``. An SVM is part of the module.
        version
            12 hexadecimal digits; else the version in use.
        device
            Of a network: ``"flex"`` or ``"ndarray"``.
        threads
            Files that are predicted at once, at most; one a core without it.
        max_seconds
            Longest audio; any without it.

        Raises
        ------
        TonearmError
            When there is no such model, or it is damaged.
        ParameterError
            For an argument that is out of range.
        """
        path = None
        if isinstance(model, os.PathLike):
            path = os.path.abspath(os.fspath(model))
        elif isinstance(model, str) and (os.sep in model or (os.altsep or os.sep) in model):
            path = os.path.abspath(model)
        elif model is not None and not isinstance(model, str):
            raise ParameterError(f"model is {model!r}; expected a name, a path or None")
        if path is not None and artifacts is not None:
            raise ParameterError("a path names the model: leave artifacts out, or give the name of the model")
        if artifacts is not None:
            artifacts = os.fspath(artifacts)
            if not isinstance(artifacts, str):
                raise ParameterError("artifacts is bytes; expected text or a path")
            if "://" not in artifacts and artifacts != "embedded":
                artifacts = os.path.abspath(artifacts)
        options = {
            "model": (None if path is not None else model, path),
            "artifacts": artifacts,
            "version": version,
            "device": device,
            "threads": threads_of(threads),
            "max_seconds": max_seconds,
        }
        self = cls._of(options)
        remark, warning = self._held.remark, self.info["warning"]
        for text in (remark, warning and f"{self.name} {self.version}: {warning}"):
            if text:
                warnings.warn(text, stacklevel=2)
        return self

    @classmethod
    def _of(cls, options: dict[str, Any]) -> Classifier:
        self = object.__new__(cls)
        self._options = options
        self._load()
        # From here on it is this version, wherever it is loaded again.
        path = options["model"][1]
        self._options = {**options, "version": self.version, "model": (None if path else self.name, path)}
        return self

    def _load(self) -> None:
        self._held = _tonearm.Classifier.load(**self._options)
        self._process = os.getpid()
        wanted = self._options["version"]
        if wanted is not None and self._held.version != wanted:
            raise TonearmError(
                f"the version of {self._held.name} in {self._held.place} is {self._held.version}, and {wanted} was wanted: load the model anew"
            )

    @property
    def _model(self) -> _tonearm.Classifier:
        # Threads are not there in a process that was forked.
        if self._process != os.getpid():
            self._load()
        return self._held

    def __reduce__(self) -> tuple:
        return (_unpickled, (type(self), self._options))

    def __repr__(self) -> str:
        return f"<Classifier {self.name} {self.version} {self.place}, {len(self.labels)} labels>"

    @property
    def name(self) -> str:
        """The name of the model."""
        return self._held.name

    @property
    def version(self) -> str:
        """12 hexadecimal digits that name the content of its artifact."""
        return self._held.version

    @property
    def labels(self) -> list[str]:
        """Its labels, in the order of the columns of :meth:`predict_proba`."""
        return self._held.labels

    @property
    def info(self) -> dict[str, Any]:
        """What every answer says of it: kind, what it was trained on, on which split it was evaluated, accuracy with its interval, the members
        of an ensemble, and a warning if it was trained on synthetic audio."""
        return json.loads(self._held.info)

    @property
    def spec(self) -> dict[str, Any]:
        """The features that it takes."""
        return json.loads(self._held.spec)

    @property
    def place(self) -> str:
        """Where it was found, in words."""
        return self._held.place

    def predict(
        self, x: Any, *, threads: int | None = None, progress: Progress = False, errors: str = "raise"
    ) -> Any:
        """Predicts the labels of audio, as `serve classify` and the server do.

        Parameters
        ----------
        x
            A path, the bytes of a file, an open file, or ``(y, sr)``: mono samples, full scale ±1, and their rate in Hz; or a list of these.
            What a file is, is told by its content.
        threads
            Files at once, at most those of :meth:`load`.
        progress
            ``True`` for a bar on standard error, or a function of ``(done, total)``.
        errors
            Of a list: ``"raise"`` raises for the first file that cannot be predicted, once all were tried; ``"return"`` has the exceptions in
            the list.

        Returns
        -------
        A :class:`Prediction`, or a list of them in the order of `x`.

        Raises
        ------
        AudioError
            With `path` and `reason`, for what cannot be read.
        """
        check_errors(errors)
        sources, alone = sources_of(x)
        with showing(progress, len(sources)) as shown:
            results = self._model.predict(sources, threads_of(threads), shown)
        results = settled(results, "raise" if alone else errors)
        predictions = [Prediction(json.loads(found)) if isinstance(found, str) else found for found in results]
        return predictions[0] if alone else predictions

    def predict_proba(self, x: Any, *, threads: int | None = None, progress: Progress = False) -> np.ndarray:
        """The probabilities of clips: float64 of shape ``(n, labels)``, whose rows sum to 1. See :meth:`predict`."""
        found = self.predict([x] if sources_of(x)[1] else x, threads=threads, progress=progress)
        rows = [list(prediction["probabilities"].values()) for prediction in found]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(self.labels))

    def embed(
        self, x: Any, *, threads: int | None = None, progress: Progress = False, segments: bool = False
    ) -> np.ndarray | list[np.ndarray]:
        """The vectors that the model decides by, before it standardises them: the descriptors of an SVM, the pooled activations of a network.

        Returns
        -------
        float32 of shape ``(n, d)``, for each clip the mean over its segments of 30 s; with `segments` a list of arrays ``(k, d)``.

        Raises
        ------
        AudioError
            As :meth:`predict`.
        ParameterError
            For an ensemble, which decides by what its members say.
        """
        sources, _ = sources_of(x)
        with showing(progress, len(sources)) as shown:
            found = settled(self._model.embed(sources, threads_of(threads), shown))
        if segments:
            return found
        if not found:
            return np.empty((0, 0), dtype=np.float32)
        return np.stack([each.mean(axis=0, dtype=np.float64).astype(np.float32) for each in found])


def _unpickled(cls: type[Classifier], options: dict[str, Any]) -> Classifier:
    return cls._of(options)
