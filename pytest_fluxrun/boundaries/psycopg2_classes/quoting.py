"""Quoting where no libpq connection exists, as libpq 9.1 and newer does it with standard-conforming strings.

Adapters in their class's place, which C finds in `extensions.adapters` and asks `prepare` and `getquoted` by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from psycopg2 import extensions  # type: ignore[import-untyped]

__all__ = ["ADAPTERS", "PlayedBinary", "PlayedString", "wrap_adapter", "wrap_quote_ident", "wrap_register_type"]


def _is_played(connection: Any) -> bool:
    return bool(getattr(connection, "_fx_played", False))


class PlayedString(extensions.QuotedString):  # type: ignore[misc]
    """A text; for a played connection quoted here."""

    _fx_codec = ""

    def prepare(self, conn: Any) -> None:
        """Learn the connection's encoding."""
        if _is_played(conn):
            self._fx_codec = extensions.encodings.get(conn.encoding, "utf-8")
        else:
            super().prepare(conn)

    def getquoted(self) -> bytes:
        """As SQL."""
        if not self._fx_codec:
            return super().getquoted()  # type: ignore[no-any-return]
        text = self.adapted
        data = text.encode(self._fx_codec) if isinstance(text, str) else bytes(text)
        if b"\0" in data:
            raise ValueError("A string literal cannot contain NUL (0x00) characters.")
        return b"'" + data.replace(b"'", b"''") + b"'"


class PlayedBinary(extensions.Binary):  # type: ignore[misc]
    """Bytes; for a played connection quoted here."""

    _fx_played = False

    def prepare(self, conn: Any) -> None:
        """Learn whether there is a libpq connection."""
        if _is_played(conn):
            self._fx_played = True
        else:
            super().prepare(conn)

    def getquoted(self) -> bytes:
        """As SQL."""
        if not self._fx_played or self.adapted is None:
            return super().getquoted()  # type: ignore[no-any-return]
        return b"'\\x" + bytes(self.adapted).hex().encode() + b"'::bytea"


class Adapters:
    """psycopg2's dict of adapters, which C reads: those of texts and bytes as attributes that can be patched."""

    def __init__(self) -> None:
        adapters = extensions.adapters
        found = ((kind, adapters.get((kind, extensions.ISQLQuote))) for kind in (str, bytes, bytearray, memoryview))
        self.__dict__.update({kind.__name__: adapter for kind, adapter in found if adapter in _STANDS_FOR})

    def __setattr__(self, name: str, adapter: Any) -> None:
        self.__dict__[name] = adapter
        kind = next(kind for kind in (str, bytes, bytearray, memoryview) if kind.__name__ == name)
        extensions.adapters[kind, extensions.ISQLQuote] = adapter

    def names(self) -> list[str]:
        """Of the types that C adapts itself."""
        return list(self.__dict__)


_STANDS_FOR: Final = {extensions.QuotedString: PlayedString, extensions.Binary: PlayedBinary}
ADAPTERS: Final = Adapters()


def wrap_adapter(original: Any) -> Any:
    """The class that stands in its place."""
    return _STANDS_FOR[original]


def wrap_quote_ident(original: Callable[..., str]) -> Callable[..., str]:
    """`extensions.quote_ident`: a name as SQL."""

    def quote_ident(str: str, scope: Any) -> str:  # noqa: A002 - its signature
        connection = getattr(scope, "connection", scope)
        if not _is_played(connection):
            return original(str, scope)
        return '"{}"'.format(str.replace('"', '""'))

    return quote_ident


def wrap_register_type(original: Callable[..., None]) -> Callable[..., None]:
    """`register_type`: for a played connection kept in Python, since C would take it for all."""

    def register_type(obj: Any, conn_or_curs: Any = None) -> None:
        if _is_played(conn_or_curs):
            conn_or_curs._fx_types.update(dict.fromkeys(obj.values, obj))  # noqa: SLF001 - of the seam
        elif conn_or_curs is None:
            original(obj)
        else:
            original(obj, conn_or_curs)

    return register_type
