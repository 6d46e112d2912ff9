"""The store contract: sealed bundles as opaque bytes, each under one name, written once and never changed.

Holds the rules that every store shares (names, put-if-absent, ranges, closing). Knows no medium and opens no bundle.
"""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from pytest_fluxrun.errors import RunNotFound, StoreError

__all__ = ["SUFFIX", "Store", "checked_name"]

SUFFIX = ".fluxrun"
"""What a bundle's file name ends in, after its name."""

_MAX_NAME_LENGTH = 200
# S3 answers 409 to the loser of two simultaneous conditional writes, while the winner's object isn't readable yet.
_SETTLE_S = (0.0, 0.1, 0.4, 1.6)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*-[0-7][0-9a-hjkmnp-tv-z]{25}")


def checked_name(name: str) -> str:
    """Return `name` if it can name a bundle: `<entry>-<run id>`, at most 200 characters, no path in it.

    Raises:
        StoreError: it can't. Nothing was read or written.
    """
    if len(name) <= _MAX_NAME_LENGTH and _NAME.fullmatch(name):
        return name
    shown = name if len(name) <= _MAX_NAME_LENGTH else name[:_MAX_NAME_LENGTH] + "…"
    raise StoreError(
        f"{shown!r} is not the name of a bundle",
        why=f"a name is <entry>-<run id>, at most {_MAX_NAME_LENGTH} of the characters A-Z a-z 0-9 . _ -",
        next_step="`fluxrun list` shows the names that a store holds",
    )


class Store(ABC):
    """Where bundles live. Subclass it and implement the five underscored methods; names reach them checked.

    Every method may be called from several threads at once. `pytest_fluxrun.testing.store.StoreContract` is the suite
    that an implementation has to pass.
    """

    _closed = False

    @property
    @abstractmethod
    def location(self) -> str:
        """What messages call this store: a path or URL without credentials."""

    def put(self, name: str, data: bytes) -> bool:
        """Store `data` under `name`, whole or not at all; when it returns, the medium has it.

        Returns:
            True if it was stored, False if exactly these bytes were there already.

        Raises:
            StoreError: the name holds other bytes, which stay as they are; or the medium failed.
        """
        self._usable(name)
        for pause_s in _SETTLE_S:
            time.sleep(pause_s)
            if self._create(name, data):
                return True
            try:
                stored = self.read(name)
            except RunNotFound:
                continue
            if stored == data:
                return False
            raise self._taken(name)
        raise self._taken(name)

    def get(self, name: str, *, offset: int = 0) -> Iterator[bytes]:
        """Iterate over the bytes of a bundle in chunks, from `offset` on; at its very end there are none.

        The medium is asked when the first chunk is.

        Raises:
            RunNotFound: the store doesn't hold it.
            StoreError: `offset` lies outside the bundle, or the medium failed.
        """
        self._usable(name)
        if offset == 0:
            return self._read(name, 0)
        return self._read_from(name, offset)

    def read(self, name: str) -> bytes:
        """Return a whole bundle. Raises as `get` does."""
        return b"".join(self.get(name))

    def size(self, name: str) -> int:
        """Return how many bytes a bundle has.

        Raises:
            RunNotFound: the store doesn't hold it.
        """
        self._usable(name)
        size_bytes = self._size(name)
        if size_bytes is None:
            raise self._missing(name)
        return size_bytes

    def exists(self, name: str) -> bool:
        """Tell whether the store holds a bundle of that name."""
        self._usable(name)
        return self._size(name) is not None

    def names(self, prefix: str = "") -> Iterator[str]:
        """Iterate over the names that begin with `prefix`, in the order of their code points.

        What lies beside the bundles (guard files, partial downloads, strangers) isn't listed.
        """
        self._open()
        return self._names(prefix)

    def close(self) -> None:
        """Let go of connections. May be called again; any other method then raises `StoreError`."""
        if not self._closed:
            self._closed = True
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.location!r})"

    @abstractmethod
    def _create(self, name: str, data: bytes) -> bool:
        """Store `data` under `name` unless the name is taken; return False, having changed nothing, if it is."""

    @abstractmethod
    def _read(self, name: str, offset: int) -> Iterator[bytes]:
        """Yield the bytes from `offset`, which lies inside the bundle, to the end; `RunNotFound` if it is missing."""

    @abstractmethod
    def _size(self, name: str) -> int | None:
        """Return the size in bytes, or None if there is no such bundle."""

    @abstractmethod
    def _names(self, prefix: str) -> Iterator[str]:
        """Yield the names of bundles that begin with `prefix`, sorted."""

    def _close(self) -> None:  # noqa: B027 - most media hold nothing open
        """Let go of connections; called once."""

    def _read_from(self, name: str, offset: int) -> Iterator[bytes]:
        size_bytes = self.size(name)
        if not 0 <= offset <= size_bytes:
            raise StoreError(
                f"{name} can't be read from byte {offset}",
                why=f"in {self.location} it has {size_bytes} bytes",
                next_step="read it from the start; a partial copy of it belongs to another bundle",
            )
        if offset < size_bytes:
            yield from self._read(name, offset)

    def _missing(self, name: str) -> RunNotFound:
        """Return the error for a name that the store doesn't hold."""
        return RunNotFound(
            f"{name} is not in {self.location}",
            why="no bundle there has that name",
            next_step="`fluxrun list` shows what the store holds, `fluxrun push` uploads a run",
        )

    def _taken(self, name: str) -> StoreError:
        return StoreError(
            f"{name} was not stored in {self.location}",
            why="another bundle already has that name, and a store never overwrites one",
            next_step=f"`fluxrun show {name}` shows the stored one; give the new one its own run id",
        )

    def _usable(self, name: str) -> None:
        self._open()
        checked_name(name)

    def _open(self) -> None:
        if self._closed:
            raise StoreError(
                f"the store {self.location} is closed",
                why="close() was called on it before",
                next_step="open it again with open_store()",
            )
