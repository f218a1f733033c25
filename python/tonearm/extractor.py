"""Vectors of descriptors, as a matrix or as a table with names."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from . import _tonearm
from ._errors import ParameterError
from ._work import Progress, check_errors, settled, showing, sources_of, threads_of

__all__ = ["Extractor", "FeatureTable"]

PERS = ("clip", "segment", "window")


class FeatureTable:
    """Vectors of descriptors, with what each row is of.

    Attributes
    ----------
    matrix
        float32 of shape ``(rows, descriptors)``.
    names
        The name of each column, such as ``"mfcc.3.mean"``.
    source
        For each row the index of its source.
    start_seconds, end_seconds
        float64 ``(rows,)``: where in its source a row begins and ends.
    """

    def __init__(self, matrix, names, source, start_seconds, end_seconds, files) -> None:
        self.matrix: np.ndarray = matrix
        self.names: list[str] = names
        self.source: np.ndarray = source
        self.start_seconds: np.ndarray = start_seconds
        self.end_seconds: np.ndarray = end_seconds
        self._files: list[str | None] = files

    def __len__(self) -> int:
        return len(self.matrix)

    def __repr__(self) -> str:
        return f"<FeatureTable of {len(self)} rows and {len(self.names)} descriptors>"

    def _columns(self) -> dict[str, Any]:
        columns: dict[str, Any] = {
            "file": [self._files[index] for index in self.source],
            "source": self.source,
            "start_seconds": self.start_seconds,
            "end_seconds": self.end_seconds,
        }
        # A column of its own for each, without gaps.
        by_column = np.ascontiguousarray(self.matrix.T)
        columns.update(zip(self.names, by_column))
        return columns

    def to_arrow(self):
        """A `pyarrow.Table`: ``file`` (null where a source is no path), ``source``, ``start_seconds``, ``end_seconds``, and a column for each
        descriptor. Needs pyarrow: ``pip install tonearm[arrow]``."""
        try:
            import pyarrow
        except ImportError as error:
            raise ImportError("tables of Arrow need pyarrow: pip install 'tonearm[arrow]'") from error
        columns = self._columns()
        columns["file"] = pyarrow.array(columns["file"], type=pyarrow.string())
        return pyarrow.table(columns)

    def to_polars(self):
        """The same as a `polars.DataFrame`. Needs polars: ``pip install polars``."""
        try:
            import polars
        except ImportError as error:
            raise ImportError("frames of Polars need polars: pip install polars") from error
        return polars.DataFrame(self._columns(), schema_overrides={"file": polars.String})


class Extractor:
    """Computes the descriptors of a specification: the same numbers as `train` and `serve`, to the bit.

    Parameters
    ----------
    spec
        ``"gtzan-store"`` (what the models are trained on), ``"librosa"`` (librosa's defaults), or a specification as a `dict` or as JSON, such as
        :attr:`Classifier.spec`.

    It may be pickled and used from several threads.

    >>> import tonearm
    >>> extractor = tonearm.Extractor("gtzan-store")
    >>> extractor.transform(["a.wav", "b.flac"]).shape       # doctest: +SKIP
    (2, 1527)
    """

    def __init__(self, spec: str | dict[str, Any] = "gtzan-store") -> None:
        if isinstance(spec, dict):
            spec = json.dumps(spec)
        elif not isinstance(spec, str):
            raise ParameterError(f"spec is of {type(spec).__name__}; expected the name of a preset, JSON or a dict")
        self._held = _tonearm.Extractor(spec)

    @property
    def names(self) -> list[str]:
        """The name of each descriptor, such as ``"mfcc.3.mean"``: the columns of :meth:`transform`."""
        return self._held.names

    @property
    def spec(self) -> dict[str, Any]:
        """The specification, complete."""
        return json.loads(self._held.spec)

    @property
    def fingerprint(self) -> str:
        """64 hexadecimal digits; two extractors with the same give the same bits for the same file."""
        return self._held.fingerprint

    def __reduce__(self) -> tuple:
        return (type(self), (self._held.spec,))

    def __repr__(self) -> str:
        return f"<Extractor of {len(self.names)} descriptors, {self.fingerprint[:12]}>"

    def extract(
        self,
        x: Any,
        *,
        per: str = "clip",
        threads: int | None = None,
        progress: Progress = False,
        errors: str = "raise",
        max_seconds: float | None = None,
    ) -> FeatureTable:
        """Extracts descriptors with what each row is of.

        Parameters
        ----------
        x
            Paths, bytes, open files or ``(y, sr)``: one, or a list.
        per
            ``"clip"`` for one row a source, over all of it; ``"segment"`` for the segments of 30 s that models predict from; ``"window"`` for
            the texture windows of a timeline.
        threads
            Sources at once; one a core without it.
        progress
            ``True`` for a bar on standard error, or a function of ``(done, total)``.
        errors
            ``"raise"``, or ``"return"`` to leave out of the table what cannot be read; `source` tells what is in it.
        max_seconds
            Longest audio; any without it.

        Raises
        ------
        AudioError
            With `path` and `reason`, for what cannot be read.
        """
        check_errors(errors)
        if per not in PERS:
            raise ParameterError(f"per is {per!r}; expected one of {', '.join(PERS)}")
        sources, _ = sources_of(x)
        with showing(progress, len(sources)) as shown:
            results = self._held.vectors(sources, per, threads_of(threads), shown, max_seconds)
        return _table(settled(results, errors), self.names, [_name(source) for source in sources])

    def transform(self, x: Any, **options: Any) -> np.ndarray:
        """The descriptors as float32 of shape ``(rows, descriptors)``. See :meth:`extract`, whose options it takes."""
        return self.extract(x, **options).matrix

    def to_arrow(self, x: Any, **options: Any):
        """The descriptors as a `pyarrow.Table`; see :meth:`extract` and :meth:`FeatureTable.to_arrow`."""
        return self.extract(x, **options).to_arrow()

    def to_polars(self, x: Any, **options: Any):
        """The descriptors as a `polars.DataFrame`; see :meth:`extract` and :meth:`FeatureTable.to_polars`."""
        return self.extract(x, **options).to_polars()


def _name(source: Any) -> str | None:
    """The path of a source as text that any table takes."""
    if isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        return os.fsencode(path).decode("utf-8", "replace")
    return None


def _table(results: list, names: list[str], files: list[str | None]) -> FeatureTable:
    """Joins what each source gave; exceptions are left out."""
    held = [(index, found) for index, found in enumerate(results) if not isinstance(found, BaseException)]
    matrices = [vectors for _, (vectors, _) in held]
    times = [seconds for _, (_, seconds) in held]
    matrix = np.concatenate(matrices) if matrices else np.empty((0, len(names)), dtype=np.float32)
    seconds = np.concatenate(times) if times else np.empty((0, 2), dtype=np.float64)
    indices = np.array([index for index, _ in held], dtype=np.int64)
    source = np.repeat(indices, np.array([len(vectors) for vectors in matrices], dtype=np.int64))
    return FeatureTable(matrix, names, source, seconds[:, 0].copy(), seconds[:, 1].copy(), files)
