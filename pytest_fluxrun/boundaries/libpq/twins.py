"""What psycopg has in C for a real connection, in Python for a played one: the C classes take no other connection."""

# ruff: noqa: SLF001 - the seams lie in what psycopg keeps to itself
from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, Final

from psycopg import _py_transformer
from psycopg._adapters_map import AdaptersMap

from pytest_fluxrun.boundaries.libpq.played import PlayedConnection

__all__ = ["by_transformer", "chosen", "escaping", "is_played", "transformers"]


def is_played(context: Any) -> bool:
    """Whether an adaptation context belongs to a played connection."""
    connection = getattr(context, "connection", None)
    return connection is not None and type(connection.pgconn) is PlayedConnection


class _Adapters:
    """An AdaptersMap that gives the Python class wherever psycopg has registered the C class in its place."""

    def __init__(self, adapters: AdaptersMap) -> None:
        self._adapters = adapters

    def get_dumper(self, cls: type, format: Any) -> Any:  # noqa: A002 - the driver's own name
        """See `AdaptersMap.get_dumper`."""
        return _twin(self._adapters.get_dumper(cls, format))

    def get_dumper_by_oid(self, oid: int, format: Any) -> Any:  # noqa: A002 - the driver's own name
        """See `AdaptersMap.get_dumper_by_oid`."""
        return _twin(self._adapters.get_dumper_by_oid(oid, format))

    def get_loader(self, oid: int, format: Any) -> Any:  # noqa: A002 - the driver's own name
        """See `AdaptersMap.get_loader`."""
        return _twin(self._adapters.get_loader(oid, format))

    @property
    def adapters(self) -> _Adapters:
        """Itself, as an AdaptContext."""
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapters, name)


def chosen(original: Any) -> Callable[[int, Any], Any]:
    """A loader's class that is called with an adaptation context: its twin for a played connection."""

    @functools.wraps(original, updated=())
    def made(oid: int, context: Any = None) -> Any:
        return (_twin(original) if is_played(context) else original)(oid, context)

    return made


_twins: dict[Any, Any] = {}
_OWN: Final = frozenset({"__dict__", "__weakref__"})


def _twin(cls: Any) -> Any:
    """The Python class that a C class is the optimised version of; of one made from such, one made from its twin."""
    found = _twins.get(cls)
    if found is None:
        found = _twins[cls] = _found_twin(cls)
    return found


def _found_twin(cls: Any) -> Any:
    if cls is None or not any(map(_is_compiled, cls.__mro__)):
        return cls
    if _is_compiled(cls):
        replaced = AdaptersMap._optimised.items()
        return next((old for old, new in replaced if new is cls and old is not cls), None) or _by_name(cls)
    attributes = {name: value for name, value in vars(cls).items() if name not in _OWN}
    return type(cls.__name__, tuple(map(_twin, cls.__bases__)), attributes)


def _is_compiled(cls: type) -> bool:
    return cls.__module__.startswith(("psycopg_binary.", "psycopg_c."))


def _by_name(cls: type) -> Any:
    """Of a C class that psycopg takes without registering its Python version first, the class of the same name."""
    owners = (module for name, module in sys.modules.items() if name.startswith("psycopg.types."))
    return next((found for owner in owners if (found := vars(owner).get(cls.__name__)) is not None), cls)


class _Transformer(_py_transformer.Transformer):
    """psycopg's own in Python, with Python adapters."""

    def __init__(self, context: Any = None) -> None:
        super().__init__(context)
        if not isinstance(self._adapters, _Adapters):
            self._adapters: Any = _Adapters(self._adapters)


class _Escaping:
    """libpq's escaping as it is for a server that takes standard strings and text of any ASCII superset."""

    def __init__(self, pgconn: PlayedConnection) -> None:
        self._pgconn = pgconn

    def escape_literal(self, data: Any) -> bytes:
        """See `PQescapeLiteral`."""
        quoted = bytes(data).replace(b"'", b"''")
        return b" E'" + quoted.replace(b"\\", b"\\\\") + b"'" if b"\\" in quoted else b"'" + quoted + b"'"

    def escape_identifier(self, data: Any) -> bytes:
        """See `PQescapeIdentifier`."""
        return b'"' + bytes(data).replace(b'"', b'""') + b'"'

    def escape_string(self, data: Any) -> bytes:
        """See `PQescapeStringConn`."""
        quoted = bytes(data).replace(b"'", b"''")
        return quoted if self._standard() else quoted.replace(b"\\", b"\\\\")

    def escape_bytea(self, data: Any) -> bytes:
        """See `PQescapeByteaConn`."""
        return (b"\\x" if self._standard() else b"\\\\x") + bytes(data).hex().encode()

    def unescape_bytea(self, data: Any) -> bytes:
        """See `PQunescapeBytea`; the server writes hexadecimal."""
        return bytes.fromhex(bytes(data)[2:].decode())

    def _standard(self) -> bool:
        return self._pgconn.parameter_status(b"standard_conforming_strings") == b"on"


class _ByContext:
    """In the place of the class `Transformer`."""

    def __init__(self, original: Any) -> None:
        self._original = original
        self.__wrapped__ = original

    def __call__(self, context: Any = None) -> Any:
        return (_Transformer if is_played(context) else self._original)(context)

    def from_context(self, context: Any) -> Any:
        """See `Transformer.from_context`."""
        if isinstance(context, _Transformer):
            return context
        return _Transformer(context) if is_played(context) else self._original.from_context(context)


def transformers(original: Any) -> Any:
    """The class `Transformer`, and for a played connection its Python version."""
    return _ByContext(original)


def escaping(original: Any) -> Callable[..., Any]:
    """The class `Escaping`, and for a played connection its Python version."""

    @functools.wraps(original, updated=())
    def escaping_for(pgconn: Any = None) -> Any:
        return _Escaping(pgconn) if type(pgconn) is PlayedConnection else original(pgconn)

    return escaping_for


def by_transformer(name: str) -> Callable[[Any], Any]:
    """A function of psycopg's that takes a Transformer, in C or, for a played connection's, in Python."""
    from psycopg import _copy_base

    in_python: Final = getattr(_copy_base, f"_{name}")

    def choose(original: Any) -> Any:
        def by_type(data: Any, transformer: Any, *rest: Any) -> Any:
            return (in_python if isinstance(transformer, _Transformer) else original)(data, transformer, *rest)

        return by_type

    return choose
