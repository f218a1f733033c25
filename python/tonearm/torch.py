"""Datasets of PyTorch over feature stores, without copies. Needs PyTorch: ``pip install 'tonearm[torch]'``."""

from __future__ import annotations

import os
from typing import Any, Callable, Iterable

import numpy as np

try:
    import torch
    from torch.utils.data import Dataset
except ImportError as error:
    raise ImportError(f"tonearm.torch needs PyTorch: pip install 'tonearm[torch]' ({error})") from error

from ._errors import ParameterError
from .store import FeatureStore

__all__ = ["StoreDataset"]


class StoreDataset(Dataset):
    """The rows of a feature store as a map-style dataset: ``(log_mel, target)``.

    Parameters
    ----------
    store
        A :class:`tonearm.store.FeatureStore`, or the path of one.
    rows
        Indices of the rows that it holds, such as those of a fold; all without it.
    transform
        Called with the log-mel, a tensor of shape ``(n_mels, frames)``: uint8 levels, or float32 decibels where the store does not quantise.
        Without it the tensor is a view of the file, and nothing is copied: what is written into it stays in this process.
    target_transform
        Called with the index of the label, an `int`.

    Attributes
    ----------
    classes
        The names of the labels, which targets index.
    targets
        int64 tensor: the target of each item.
    n_frames
        int64 tensor: frames of each item that are not padding.

    Notes
    -----
    Levels become decibels by :meth:`decibels`, best of a whole batch, on the device that computes. Workers of a `DataLoader` share the pages of
    the file, whether they are forked or spawned: what is pickled is the path.
    """

    def __init__(
        self,
        store: FeatureStore | str | os.PathLike,
        rows: Iterable[int] | None = None,
        *,
        transform: Callable[[torch.Tensor], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
    ) -> None:
        # Copies on write, for tensors that are views of what cannot be written are not to be had without a warning.
        path = store.path if isinstance(store, FeatureStore) else store
        self.store = FeatureStore(path, mode="c")
        n = len(self.store)
        self.rows = np.arange(n) if rows is None else np.asarray(list(rows), dtype=np.int64)
        if self.rows.ndim != 1 or (len(self.rows) and not (0 <= self.rows.min() and self.rows.max() < n)):
            raise ParameterError(f"rows must be indices of 0 to {n - 1}")
        self.transform = transform
        self.target_transform = target_transform
        self.classes = self.store.label_names
        self.targets = torch.from_numpy(self.store.targets[self.rows].astype(np.int64))
        self.n_frames = torch.from_numpy(self.store.n_frames[self.rows])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        row = self.rows[index]
        log_mel: Any = torch.from_numpy(self.store.log_mel[row])
        target: Any = int(self.store.targets[row])
        if self.transform is not None:
            log_mel = self.transform(log_mel)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return log_mel, target

    def decibels(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Levels in decibels, float32, of any shape and on any device; decibels as they are."""
        quantisation = self.store.spec["quantisation"]
        if quantisation is None:
            return log_mel
        return log_mel.to(torch.float32) * quantisation["step_db"] + quantisation["floor_db"]
