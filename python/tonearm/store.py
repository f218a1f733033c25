"""Feature stores, which `train extract` writes: their arrays without a copy, and what each row is."""

from __future__ import annotations

import json
import os
import struct
from typing import Any, Iterable, Literal

import numpy as np

from . import _tonearm
from ._errors import ParameterError, TonearmError
from ._work import Progress, check_errors, settled, showing, threads_of
from .extractor import PERS, FeatureTable, _table

__all__ = ["FeatureStore", "map_tensors"]

_TENSORS = "logmel.safetensors"
_DTYPES: dict[str, np.dtype] = {"U8": np.dtype("u1"), "U32": np.dtype("<u4"), "F32": np.dtype("<f4")}


def map_tensors(path: str | os.PathLike, mode: Literal["r", "c"] = "r") -> tuple[dict[str, np.memmap], dict[str, str]]:
    """The tensors of a safetensors file as maps of it, and its metadata. Nothing is read but the header.

    `mode` is ``"r"`` for arrays that cannot be written, or ``"c"`` for copies on write, which never reach the file.

    Raises
    ------
    TonearmError
        For a file that is none, or is cut short.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
        if 8 + length > size:
            raise TonearmError(f"{os.fspath(path)!r} is no safetensors file, or is cut short")
        try:
            header = json.loads(file.read(length))
        except ValueError as error:
            raise TonearmError(f"{os.fspath(path)!r}: its header is no JSON: {error}") from error
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, held in header.items():
        start, end = held["data_offsets"]
        dtype, shape = _DTYPES.get(held["dtype"]), tuple(held["shape"])
        if dtype is None:
            continue
        n_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if end - start != n_bytes or 8 + length + end > size:
            raise TonearmError(f"{os.fspath(path)!r}: the tensor {name} has {end - start} bytes, and its shape takes {n_bytes}")
        if n_bytes:
            tensors[name] = np.memmap(path, dtype=dtype, mode=mode, offset=8 + length + start, shape=shape)
    return tensors, metadata


class FeatureStore:
    """The feature store in a folder: the log-mels of a dataset and the series of its descriptors, mapped from the file.

    Every size, id and label is checked when it is opened. It may be pickled, which holds its path alone.

    Parameters
    ----------
    path
        The folder that `train extract --out` wrote.
    mode
        ``"r"``: arrays cannot be written. ``"c"``: what is written stays in this process, and never reaches the file.

    Attributes
    ----------
    log_mel
        `np.memmap` of shape ``(n, n_mels, frames)``: uint8 levels, or float32 decibels where the specification does not quantise. Rows of
        short clips are padded with zeros behind ``n_frames``.
    series
        By the name of a descriptor that needs more than the log-mel: `np.memmap` float32 ``(n, rows, frames)``.
    n_frames
        int64 ``(n,)``: frames of each row that are not padding.
    clip_ids, labels
        Arrays of text ``(n,)``.
    label_names
        The labels that there are, sorted; `targets` indexes it.
    targets
        int64 ``(n,)``.
    artists, titles, albums, given, gtzan
        Lists with `None` where nothing is known; `given` is the part of the dataset's own split, `gtzan` the clip of GTZAN that a row was
        recognised as.
    spec
        The specification that it was extracted with, as a `dict`.

    Raises
    ------
    TonearmError
        For a store that is damaged, or of another version.
    """

    def __init__(self, path: str | os.PathLike, *, mode: Literal["r", "c"] = "r") -> None:
        if mode not in ("r", "c"):
            raise ParameterError(f"mode is {mode!r}; expected 'r' or 'c'")
        self.path = os.path.abspath(os.fspath(path))
        self.mode: Literal["r", "c"] = mode
        held = self._held = _tonearm.FeatureStore(self.path)
        tensors, _ = map_tensors(os.path.join(self.path, _TENSORS), mode)
        self.spec: dict[str, Any] = json.loads(held.spec)
        self.log_mel: np.memmap = tensors["logmel_f32" if self.spec["quantisation"] is None else "logmel_u8"]
        prefix = "series."
        self.series: dict[str, np.memmap] = {
            name[len(prefix) :]: array for name, array in tensors.items() if name.startswith(prefix)
        }
        self.n_frames = np.array(held.n_frames, dtype=np.int64)
        self.clip_ids = np.array(held.clip_ids)
        self.labels = np.array(held.labels)
        names, self.targets = np.unique(self.labels, return_inverse=True)
        self.label_names: list[str] = names.tolist()
        self.artists, self.titles, self.albums = held.artists, held.titles, held.albums
        self.given, self.gtzan = held.given, held.gtzan

    def __len__(self) -> int:
        return len(self.clip_ids)

    def __reduce__(self) -> tuple:
        return (_opened, (type(self), self.path, self.mode))

    def __repr__(self) -> str:
        return f"<FeatureStore of {len(self)} clips and {len(self.label_names)} labels in {self.path!r}>"

    @property
    def names(self) -> list[str]:
        """The names of the descriptors that :meth:`vectors` gives."""
        return self._held.names(None)

    @property
    def groups(self) -> list[str]:
        """For each row a group, equal for two that may share an artist or a recording: what `groups` of a splitter should be.

        From artists, albums and titles, of GTZAN from its catalogue, and from the sound: the log-mels are read once.
        """
        return self._held.groups()

    def decibels(self, row: int) -> np.ndarray:
        """The log-mel of a row in dB, without padding: float32 of shape ``(n_mels, n_frames[row])``."""
        levels = self.log_mel[row, :, : self.n_frames[row]]
        quantisation = self.spec["quantisation"]
        if quantisation is None:
            return np.array(levels)
        # As the extractor rounds them: in double precision, then to single.
        return (quantisation["floor_db"] + quantisation["step_db"] * levels.astype(np.float64)).astype(np.float32)

    def extract(
        self,
        rows: Iterable[int] | None = None,
        *,
        per: str = "clip",
        spec: str | dict[str, Any] | None = None,
        threads: int | None = None,
        progress: Progress = False,
        errors: str = "raise",
    ) -> FeatureTable:
        """The descriptors of rows, with what each is of: :meth:`Extractor.extract` without audio.

        `rows` are indices, all without it. `spec` is a preset, JSON or a `dict` with the front end of the store, of which those descriptors are
        taken that the store suffices for; without it the specification of the store.
        """
        check_errors(errors)
        if per not in PERS:
            raise ParameterError(f"per is {per!r}; expected one of {', '.join(PERS)}")
        indices = range(len(self)) if rows is None else [int(row) for row in rows]
        indices = [row + len(self) if row < 0 else row for row in indices]
        if any(not 0 <= row < len(self) for row in indices):
            raise ParameterError(f"a row is not within -{len(self)} to {len(self) - 1}")
        spec = json.dumps(spec) if isinstance(spec, dict) else spec
        with showing(progress, len(indices)) as shown:
            results = self._held.vectors(indices, per, spec, threads_of(threads), shown)
        names = self._held.names(spec)
        return _table(settled(results, errors), names, [str(self.clip_ids[row]) for row in indices])

    def vectors(self, rows: Iterable[int] | None = None, **options: Any) -> np.ndarray:
        """The descriptors of rows as float32 ``(rows, descriptors)``; see :meth:`extract`, whose options it takes."""
        return self.extract(rows, **options).matrix


def _opened(cls: type[FeatureStore], path: str, mode: Literal["r", "c"]) -> FeatureStore:
    return cls(path, mode=mode)
