"""What all long work shares: one source or many, threads, progress, and what becomes of errors."""

from __future__ import annotations

import contextlib
import numbers
import os
import sys
from typing import Any, Callable, Iterable, Iterator, Sequence, Union

import numpy as np

from ._errors import ParameterError

Progress = Union[bool, Callable[[int, int], object], None]


def is_one(source: Any) -> bool:
    """Whether it is one source: a path, bytes, an open file, or samples with their rate, rather than several of these."""
    if isinstance(source, (str, bytes, bytearray, memoryview, os.PathLike)) or hasattr(source, "read"):
        return True
    if not isinstance(source, tuple) or len(source) != 2:
        return False
    samples, rate = source
    return isinstance(rate, numbers.Real) and not isinstance(samples, (str, bytes, os.PathLike))


def sources_of(x: Any) -> tuple[list, bool]:
    """The sources that `x` holds, and whether it is one alone."""
    if is_one(x):
        return [x], True
    if isinstance(x, np.ndarray):
        if x.ndim == 2 and x.shape[1] == 1:
            x = x[:, 0]
        if x.ndim != 1 or x.dtype.kind not in "OSU":
            raise ParameterError(
                f"an array of {x.dtype} with shape {x.shape} is no list of sources; give samples with their rate, as (y, sr)"
            )
        return x.tolist(), False
    if isinstance(x, Iterable):
        return list(x), False
    raise ParameterError(
        f"expected a path, bytes, an open file, (y, sr), or a list of these, found {type(x).__name__}"
    )


def threads_of(threads: int | None) -> int:
    """The number that stands for `threads`: 0 for one a core."""
    if threads is None:
        return 0
    if isinstance(threads, bool) or not isinstance(threads, numbers.Integral) or not 1 <= threads <= 1024:
        raise ParameterError(f"threads is {threads!r}; expected 1 to 1024, or None for one a core")
    return int(threads)


@contextlib.contextmanager
def showing(progress: Progress, total: int) -> Iterator[Callable[[int, int], object] | None]:
    """What is to be called with how many are done, and of how many. `True` is a bar on standard error."""
    if progress is None or progress is False:
        yield None
    elif callable(progress):
        yield progress
    elif progress is not True:
        raise ParameterError(f"progress is {progress!r}; expected True, False, or a function of (done, total)")
    else:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            with _counting() as count:
                yield count
            return
        with tqdm(total=total) as bar:
            yield lambda done, _: bar.update(done - bar.n)


@contextlib.contextmanager
def _counting() -> Iterator[Callable[[int, int], object]]:
    """Counts on one line of standard error, at most once for each hundredth of the way."""
    shown = -1

    def count(done: int, total: int) -> None:
        nonlocal shown
        share = 100 * done // max(total, 1)
        if share != shown:
            shown = share
            print(f"\r{done}/{total}", end="", file=sys.stderr, flush=True)

    try:
        yield count
    finally:
        if shown >= 0:
            print(file=sys.stderr)


def check_errors(errors: str) -> None:
    if errors not in ("raise", "return"):
        raise ParameterError(f"errors is {errors!r}; expected 'raise' or 'return'")


def settled(results: Sequence[Any], errors: str = "raise") -> list:
    """The results; the first exception among them is raised, unless exceptions are to be returned."""
    if errors == "raise":
        for result in results:
            if isinstance(result, BaseException):
                raise result
    return list(results)
