"""Exceptions and warnings. All exceptions derive from `TonearmError`."""

from __future__ import annotations

import errno


class TonearmError(Exception):
    """What this package raises."""


class ParameterError(TonearmError, ValueError):
    """An argument is out of range, or of a kind that cannot be computed; the message says what can be."""


class AudioError(TonearmError, ValueError):
    """Audio cannot be read or used.

    `path` is the file's path as a `str`, or None of bytes and samples; `reason` says what is wrong.
    """

    def __init__(self, path: str | None, reason: str):
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return self.reason if self.path is None else f"failed to read {self.path}: {self.reason}"

    def __reduce__(self):
        return type(self), (self.path, self.reason)


class AudioNotFoundError(AudioError, FileNotFoundError):
    """There is no file at that path."""

    def __init__(self, path: str | None, reason: str):
        super().__init__(path, reason)
        self.errno = errno.ENOENT
        self.strerror = reason
        self.filename = path


class AudioWarning(UserWarning):
    """Something is wrong with a file whose audio was read all the same."""
