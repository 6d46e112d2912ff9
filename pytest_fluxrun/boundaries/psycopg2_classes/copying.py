"""What passes through the app's file in a COPY: read as the request's bind, written as its answer."""

from __future__ import annotations

import io
from typing import Any

from pytest_fluxrun.boundaries.psycopg2_classes.statements import form

__all__ = ["tapped"]


class _Tap:
    """Stands for the app's file towards the library."""

    def __init__(self, file: Any, query: Any) -> None:
        text = query if isinstance(query, str) else bytes(query).decode("utf-8", "replace")
        self._file = file
        self.query = text
        self._reads = " FROM STDIN" in " ".join(text.upper().split())
        self._ahead = False
        self._read: list[Any] = []
        self._written: list[Any] = []

    def read(self, size: int = -1, /) -> Any:
        """As the app's file does, and keep it."""
        data = self._file.read(size)
        self._read.append(bytes(data) if isinstance(data, bytearray | memoryview) else data)
        return data

    def readline(self, size: int = -1, /) -> Any:
        """psycopg2 asks whether the file has it, and doesn't call it."""
        return self._file.readline(size)

    def write(self, data: Any, /) -> Any:
        """As the app's file does, and keep it."""
        self._written.append(data)
        return self._file.write(data)

    def read_ahead(self) -> None:
        """Nothing is called live: the request is made of all that the file holds."""
        self._ahead = True

    def form(self, database: str) -> dict[str, Any]:
        """The request."""
        if self._ahead and self._reads:
            self.read()
        pieces = [piece for piece in self._read if piece]
        if not pieces:
            return form(database, self.query, None, "copy")
        text = all(isinstance(piece, str) for piece in pieces)
        given = "".join(pieces) if text else _text(b"".join(map(_data, pieces)))
        return form(database, self.query, (given,), "copy")

    def written(self) -> Any:
        """All that the library wrote, or None."""
        if not self._written:
            return None
        return b"".join(self._written) if isinstance(self._written[0], bytes) else "".join(self._written)


class _TextTap(_Tap, io.TextIOBase):  # type: ignore[misc]
    """Of a file of text, which the library knows by its class."""


def tapped(file: Any, query: Any) -> _Tap:
    """What to give to the library in the place of the app's file."""
    return (_TextTap if isinstance(file, io.TextIOBase) else _Tap)(file, query)


def _data(piece: Any) -> bytes:
    return piece.encode() if isinstance(piece, str) else bytes(piece)


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data
