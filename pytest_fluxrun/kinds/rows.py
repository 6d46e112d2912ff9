"""Rows of an answer, kept as the values that are in them: the tuples around them are the application's to drop. No I/O.

A tuple that is kept can't be used again for the next row: the memory of each is fresh, and the garbage collector, which
counts tuples and not what they hold, passes more often. A list of the values would be walked in each of its passes; a
tuple of them, of what can't refer to anything, in none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final

__all__ = ["FlatRows"]

_FEW: Final = 8
Rows = list[tuple[Any, ...]] | tuple[tuple[Any, ...], ...]


def _values_of(rows: Rows, width: int) -> tuple[Any, ...]:
    """The values of rows, one after another."""
    del width
    values: list[Any] = []
    deque(map(values.extend, rows), maxlen=0)
    return tuple(values)


def _fastest() -> Callable[[Rows, int], tuple[Any, ...]]:
    """The C extension's way where it is built."""
    try:
        from pytest_fluxrun._rows import values_of
    except ImportError:
        return _values_of
    return values_of


_taken: Final = _fastest()


class FlatRows:
    """Rows of one width, in their order. Not thread-safe.

    Args:
        width: the number of values in each row, at least 1.

    Attributes:
        append: keeps one row; a list's own method, so that it costs no call of a function of Python's.
    """

    __slots__ = ("_chunks", "_kept", "_latest", "_width", "append")

    def __init__(self, width: int) -> None:
        self._chunks: Final[list[tuple[Any, ...]]] = []
        self._kept = 0
        self._latest: Final[list[Any]] = []
        self._width: Final = width
        self.append: Final[Callable[[tuple[Any, ...]], None]] = self._latest.extend

    def extend(self, rows: Rows) -> None:
        """Keep rows."""
        if len(rows) < _FEW:
            for row in rows:
                self.append(row)
            return
        if self._latest:
            self._keep(tuple(self._latest))
            self._latest.clear()
        self._keep(_taken(rows, self._width))

    def _keep(self, values: tuple[Any, ...]) -> None:
        self._chunks.append(values)
        self._kept += len(values)

    def __len__(self) -> int:
        return (self._kept + len(self._latest)) // self._width

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """The rows, as tuples made anew."""
        values = chain(*self._chunks, self._latest)
        return zip(*[values] * self._width, strict=True)
