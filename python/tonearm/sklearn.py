"""Estimators for scikit-learn: descriptors as a transformer, and Tonearm's support vector machine as a classifier.

Splitters for `cv=` are in :mod:`tonearm.splits`. Needs scikit-learn 1.6 or later: ``pip install 'tonearm[sklearn]'``.
"""

from __future__ import annotations

import json
import numbers
from typing import Any, Sequence

import numpy as np

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        f"tonearm.sklearn needs scikit-learn 1.6 or later: pip install 'tonearm[sklearn]' ({error})"
    ) from error

from . import _tonearm
from ._errors import ParameterError
from ._work import Progress, sources_of, threads_of
from .extractor import Extractor

__all__ = ["TonearmClassifier", "TonearmFeatures"]


class TonearmFeatures(TransformerMixin, BaseEstimator):
    """Descriptors of audio as a transformer: a row for each source.

    Parameters
    ----------
    spec
        As of :class:`tonearm.Extractor`.
    threads
        Sources at once. 1 leaves the cores to the `n_jobs` of a search; `None` is one a core.
    progress
        ``True`` for a bar on standard error, or a function of ``(done, total)``.
    max_seconds
        Longest audio; any without it.

    Notes
    -----
    `X` is a list, or an array of objects of shape ``(n,)`` or ``(n, 1)``, of paths, bytes or ``(y, sr)``. Nothing is learnt by :meth:`fit`. A
    search extracts the descriptors anew for each fold: ``Pipeline(..., memory="cache")`` keeps them. What cannot be read raises
    :class:`tonearm.AudioError`.
    """

    def __init__(
        self,
        spec: str | dict[str, Any] = "gtzan-store",
        *,
        threads: int | None = 1,
        progress: Progress = False,
        max_seconds: float | None = None,
    ) -> None:
        self.spec = spec
        self.threads = threads
        self.progress = progress
        self.max_seconds = max_seconds

    def fit(self, X: Any, y: Any = None) -> TonearmFeatures:
        """Checks the parameters, and that `X` is a list of sources; reads none of them."""
        _sources(X)
        threads_of(self.threads)
        self.n_features_out_ = len(Extractor(self.spec).names)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The descriptors: float32 of shape ``(n, descriptors)``."""
        options = {"threads": self.threads, "progress": self.progress, "max_seconds": self.max_seconds}
        return Extractor(self.spec).transform(_sources(X), **options)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The name of each column."""
        return np.array(Extractor(self.spec).names, dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.no_validation = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _sources(X: Any) -> list:
    sources, alone = sources_of(X)
    if alone:
        raise ParameterError("expected a list of sources, found one; put it into a list")
    return sources


class TonearmClassifier(ClassifierMixin, BaseEstimator):
    """The support vector machine of `train svm`: hyperparameters by cross-validation, probabilities calibrated by the same folds.

    Parameters
    ----------
    C
        Penalties that are tried: a number, or several.
    gamma
        Widths of the kernel that are tried, as multiples of scikit-learn's ``gamma="scale"``: a number, or several.
    balanced
        Whether a mistake in a rarer class costs more, by ``n / (2 * n_class)`` within each pair.
    folds
        Folds of the cross-validation that chooses and calibrates.
    criterion
        ``"accuracy"`` or ``"log_loss"``: by which of them is chosen.
    random_state
        Seed of the folds: an `int`, an instance of `numpy.random.RandomState`, or `None`.
    n_jobs
        Threads; `None` is 1, and -1 one a core. Their number changes no bit.

    Attributes
    ----------
    classes_
        The classes, sorted.
    n_features_in_, feature_names_in_
        As of every estimator.
    report_
        How it came about: every point of the grid, the chosen one, accuracy and log-loss by cross-validation, warnings.

    Notes
    -----
    Columns are standardised by the machine itself. `X` is taken as float32. Every class needs rows of at least two groups, since it is
    evaluated on rows whose group was not trained on. Up to about a thousand rows the machines are exact; beyond, they are linear on a
    low-rank kernel map. There is no `decision_function`: the classes are told apart in pairs.
    """

    def __init__(
        self,
        C: float | Sequence[float] = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0),
        gamma: float | Sequence[float] = (0.0625, 0.125, 0.25, 0.5),
        *,
        balanced: bool = False,
        folds: int = 5,
        criterion: str = "accuracy",
        random_state: Any = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.C = C
        self.gamma = gamma
        self.balanced = balanced
        self.folds = folds
        self.criterion = criterion
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any, groups: Any = None) -> TonearmClassifier:
        """Fits the machine.

        Parameters
        ----------
        X
            Numbers of shape ``(n, d)``, such as descriptors.
        y
            Classes, ``(n,)``.
        groups
            For each row what must not be on both sides of a fold, such as its artist; without it every row is by itself. In a search it is
            passed on by ``set_fit_request(groups=True)``.
        """
        X, y = validate_data(self, X, y, dtype=np.float32, order="C")
        check_classification_targets(y)
        self.classes_, classes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y has one class, {self.classes_[0]!r}; at least two classes are needed")
        if groups is None:
            groups = [str(row) for row in range(len(X))]
        else:
            groups = [str(group) for group in np.asarray(groups, dtype=object).ravel()]
            if len(groups) != len(X):
                raise ValueError(f"{len(groups)} groups for {len(X)} rows")
        names = getattr(self, "feature_names_in_", [f"x{column}" for column in range(X.shape[1])])
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self._machine = _tonearm.Svm.fit(
            X, classes.astype(np.int64), groups, [str(name) for name in names], (json.dumps(self._search()), seed), self._threads()
        )
        self.report_ = json.loads(self._machine.report)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probabilities of the classes: float64 of shape ``(n, classes)``, in the order of `classes_`; rows sum to 1."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, order="C", reset=False)
        return self._machine.predict_proba(X, self._threads())

    def predict(self, X: Any) -> np.ndarray:
        """The most probable classes, ``(n,)``; of equals the first."""
        probabilities = self.predict_proba(X)
        return self.classes_[np.argmax(probabilities, axis=1)]

    def _search(self) -> dict[str, Any]:
        if self.criterion not in ("accuracy", "log_loss"):
            raise ParameterError(f"criterion is {self.criterion!r}; expected 'accuracy' or 'log_loss'")
        return {
            "c": _grid("C", self.C),
            "gamma": _grid("gamma", self.gamma),
            "balance": [0.0],
            "class_weight": "balanced" if self.balanced else "equal",
            "folds": int(self.folds),
            "repeats": 1,
            "criterion": self.criterion,
            "calibration": "shared_slope",
            "temperature": True,
            "tolerance": 1e-3,
        }

    def _threads(self) -> int:
        if self.n_jobs is None:
            return 1
        return 0 if self.n_jobs < 0 else threads_of(self.n_jobs)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "_machine" in state:
            machine = state.pop("_machine")
            state["_machine_bytes"] = (machine.to_bytes(), machine.report)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        held = state.pop("_machine_bytes", None)
        super().__setstate__(state)
        if held is not None:
            self._machine = _tonearm.Svm.from_bytes(*held)


def _grid(name: str, values: Any) -> list[float]:
    """The values of a hyperparameter as a list."""
    if isinstance(values, numbers.Real):
        values = [values]
    try:
        grid = [float(value) for value in values]
    except (TypeError, ValueError):
        raise ParameterError(f"{name} is {values!r}; expected a number, or several") from None
    if not grid:
        raise ParameterError(f"{name} has no value")
    return grid
