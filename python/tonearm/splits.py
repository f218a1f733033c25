"""Splitters for scikit-learn: the splits of `train`, by the same names and with the same folds.

Each has `split(X, y, groups)` and `get_n_splits(X, y, groups)`, so it is a `cv=` of `GridSearchCV` and `cross_val_score`. They need no
scikit-learn themselves. Training and test part of a fold share no artist where the name says so; :attr:`leaks` says what a figure has seen
that it should not have.

>>> from tonearm.splits import ArtistKFold
>>> from sklearn.model_selection import GridSearchCV                                   # doctest: +SKIP
>>> GridSearchCV(model, grid, cv=ArtistKFold(5)).fit(X, y, groups=artists)              # doctest: +SKIP
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any, Iterator, NamedTuple, Sequence

import numpy as np

from . import _tonearm
from ._errors import ParameterError

__all__ = [
    "ArtistHoldout",
    "ArtistKFold",
    "Given",
    "GtzanClip",
    "GtzanSplits",
    "LeaveOneArtistOut",
    "TrackKFold",
    "artist_groups",
    "gtzan_catalogue",
]


class _Splitter:
    """A split by its name."""

    def __init__(self, name: str, seed: int) -> None:
        self._leaks = _tonearm.leaks(name)
        if isinstance(seed, bool) or not 0 <= seed < 2**64:
            raise ParameterError(f"seed is {seed!r}; expected 0 to 2**64 - 1")
        self.name = name
        self.seed = int(seed)

    @property
    def leaks(self) -> str:
        """What a figure measured by this split has seen that it should not have."""
        return self._leaks

    def _items(self, X: Any, y: Any, groups: Any) -> tuple[list[str], list[str], list[tuple[str | None, str | None]]]:
        """For each row its track, its group, and its parts of the fault-filtered split and of the dataset's own."""
        raise NotImplementedError

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Indices of the rows to train on, and of those to evaluate on, for each fold."""
        for train, test in self._folds(X, y, groups):
            yield np.array(train, dtype=np.int64), np.array(test, dtype=np.int64)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """The number of folds. Where it depends on the rows, they are needed."""
        return len(self._folds(X, y, groups))

    def _folds(self, X: Any, y: Any, groups: Any) -> list:
        tracks, groups, parts = self._items(X, y, groups)
        labels = np.zeros(len(tracks), dtype=np.int64) if y is None else np.unique(np.asarray(y), return_inverse=True)[1]
        if len(labels) != len(tracks):
            raise ParameterError(f"{len(labels)} labels for {len(tracks)} rows")
        return _tonearm.folds(self.name, labels.ravel().tolist(), tracks, groups, parts, self.seed)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, seed={self.seed})"


def _rows(X: Any) -> int:
    if X is None:
        raise ParameterError("X is needed, for the number of its rows")
    return X.shape[0] if hasattr(X, "shape") else len(X)


def _texts(what: str, values: Any, n: int) -> list[str]:
    """A text for each row, equal where the values are."""
    if values is None:
        raise ParameterError(f"groups is needed: {what} of each row")
    values = list(values)
    if len(values) != n:
        raise ParameterError(f"{len(values)} groups for {n} rows; expected {what} of each")
    return [str(value) for value in values]


class _Grouped(_Splitter):
    """A split by the groups that it is given."""

    def _items(self, X: Any, y: Any, groups: Any) -> tuple[list[str], list[str], list]:
        n = _rows(groups if X is None else X)
        groups = _texts("the artist", groups, n)
        return [str(row) for row in range(n)], groups, [(None, None)] * n


class ArtistKFold(_Grouped):
    """`k` folds, stratified by label; rows of one group are in one fold. `groups` are artists: see :func:`artist_groups`.

    The same as `artist-kfold:K` of `train`, whose folds it gives for the same rows, groups and seed.
    """

    def __init__(self, k: int = 5, *, seed: int = 42) -> None:
        super().__init__(f"artist-kfold:{k}", seed)
        self.k = k

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        return self.k


class ArtistHoldout(_Grouped):
    """One fold, which holds out about `percent` of the rows, 1 to 50, by group: `artist-holdout:PERCENT` of `train`."""

    def __init__(self, percent: int = 20, *, seed: int = 42) -> None:
        super().__init__(f"artist-holdout:{percent}", seed)
        self.percent = percent

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        return 1


class LeaveOneArtistOut(_Grouped):
    """A fold for each group: `leave-one-artist-out` of `train`."""

    def __init__(self) -> None:
        super().__init__("leave-one-artist-out", 0)


class TrackKFold(_Splitter):
    """`k` folds, stratified by label; whole tracks are dealt at random, so artists are on both sides: `track-kfold:K` of `train`.

    `groups` are tracks; without them each row is one.
    """

    def __init__(self, k: int = 5, *, seed: int = 42) -> None:
        super().__init__(f"track-kfold:{k}", seed)
        self.k = k

    def _items(self, X: Any, y: Any, groups: Any) -> tuple[list[str], list[str], list]:
        n = _rows(groups if X is None else X)
        tracks = [f"{row:012}" for row in range(n)] if groups is None else _texts("the track", groups, n)
        return tracks, tracks, [(None, None)] * n

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        return self.k


class Given(_Splitter):
    """The split that a dataset came with, trained on `train` and evaluated on `part`: `given:PART` of `train`.

    `groups` are the parts of the rows: ``"train"``, ``"valid"`` or ``"test"``, or `None` for rows in none; :attr:`FeatureStore.given` has them.
    """

    def __init__(self, part: str = "valid") -> None:
        super().__init__(f"given:{part}", 0)
        self.part = part

    def _items(self, X: Any, y: Any, groups: Any) -> tuple[list[str], list[str], list]:
        n = _rows(groups if X is None else X)
        if groups is None or len(groups) != n:
            raise ParameterError("groups is needed: the part of each row, or None")
        rows = [str(row) for row in range(n)]
        return rows, rows, [(None, None if part is None else str(part)) for part in groups]

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        return 1


class GtzanSplits(_Splitter):
    """The splits of GTZAN, by what its catalogue knows of parts, artists and repeats.

    Parameters
    ----------
    name
        ``"fault-filtered:valid"`` or ``"fault-filtered:test"`` (Kereliuk, Sturm and Larsen 2015: trained on its 443 `train` clips; rows outside
        the parts are in neither list), ``"artist-kfold:K"``, ``"artist-holdout:PERCENT"``, ``"leave-one-artist-out"`` or ``"track-kfold:K"``.
    seed
        Of the folds.

    Notes
    -----
    `groups` are the ids of the clips, such as ``"blues.00000"``, or paths of files of that name (``blues/blues.00000.wav``). Without `groups`
    they are taken from `X`, if that holds paths. Kaggle's segments of a clip (``blues.00000.3``) are rows of that clip. The clips are known by
    their names alone: for files that may be others, use the dataset of `train`, which knows them by their sound.
    """

    def __init__(self, name: str = "fault-filtered:valid", *, seed: int = 42) -> None:
        if name.partition(":")[0] in ("given", "segment-kfold"):
            raise ParameterError(f"{name} is no split of GTZAN's catalogue")
        super().__init__(name, seed)

    def _items(self, X: Any, y: Any, groups: Any) -> tuple[list[str], list[str], list]:
        held = X if groups is None else groups
        if held is None:
            raise ParameterError("groups is needed: the clip id of each row, such as blues.00000")
        clips = _by_id()
        found, unknown = [], []
        for value in np.asarray(held, dtype=object).ravel() if hasattr(held, "shape") else held:
            clip = clips.get(_clip_id(value))
            if clip is None:
                unknown.append(value)
            else:
                found.append(clip)
        if unknown:
            shown = ", ".join(repr(value) for value in unknown[:3])
            raise ParameterError(
                f"{len(unknown)} rows are no clips of GTZAN ({shown}); give their ids, such as blues.00000, as groups"
            )
        if groups is not None and X is not None and _rows(X) != len(found):
            raise ParameterError(f"{len(found)} groups for {_rows(X)} rows")
        tracks = [clip.clip_id for clip in found]
        return tracks, [clip.group for clip in found], [(clip.part, None) for clip in found]


class GtzanClip(NamedTuple):
    """A clip of GTZAN, as the catalogue has it."""

    clip_id: str
    """Such as ``blues.00000``."""
    label: str
    """The genre that it is filed under."""
    artist: str | None
    """The artist, where known."""
    title: str | None
    """The title of the track, where known."""
    part: str
    """Its part of the fault-filtered split: ``train``, ``valid``, ``test`` or ``excluded``."""
    group: str
    """Equal for clips that may share an artist or a recording."""
    faults: list[str]
    """What is known against it."""


def gtzan_catalogue() -> list[GtzanClip]:
    """The 1000 clips of GTZAN, by their ids."""
    return list(_by_id().values())


@lru_cache(maxsize=1)
def _by_id() -> dict[str, GtzanClip]:
    return {entry[0]: GtzanClip(*entry) for entry in _tonearm.gtzan_catalogue()}


def _clip_id(value: Any) -> str:
    """The id that a name or path stands for: the first two parts of its last part. Empty for what is neither."""
    if not isinstance(value, (str, bytes, os.PathLike)):
        return ""
    return ".".join(os.path.basename(os.fsdecode(value)).split(".")[:2]).lower()


def artist_groups(
    artists: Sequence[str | None],
    *,
    albums: Sequence[str | None] | None = None,
    titles: Sequence[str | None] | None = None,
) -> list[str]:
    """A group for each track, equal for two that may share an artist: what `groups` of a splitter should be.

    Spellings of one name are united (``Earth Wind and Fire``, ``Earth, Wind & Fire``), and artists who appear together; tracks of an unknown
    artist (`None`, ``Various Artists``) with others of the same album or title. A track of which nothing is known is a group of its own.
    """
    n = len(artists)
    return _tonearm.artist_groups(
        [str(row) for row in range(n)],
        [_or_none(artist) for artist in artists],
        [None] * n if albums is None else [_or_none(album) for album in albums],
        [None] * n if titles is None else [_or_none(title) for title in titles],
    )


def _or_none(value: Any) -> str | None:
    # Tables have NaN where there is nothing.
    return None if value is None or value != value else str(value)
