"""psycopg2's errors with what the server said of them: C fills the fields from libpq, a replay from the recording."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final

import psycopg2.errors  # type: ignore[import-untyped]  # the library imports it late

from pytest_fluxrun.errors import RecordedError
from pytest_fluxrun.values import Value, decode, dump_error, load_error

__all__ = ["dump_database_error", "left_closed", "load_database_error", "note_closed", "played_property"]

_FIELDS: Final = (
    "severity",
    "severity_nonlocalized",
    "sqlstate",
    "message_primary",
    "message_detail",
    "message_hint",
    "statement_position",
    "internal_position",
    "internal_query",
    "context",
    "schema_name",
    "table_name",
    "column_name",
    "datatype_name",
    "constraint_name",
    "source_file",
    "source_line",
    "source_function",
)


_closed: weakref.WeakKeyDictionary[BaseException, int] = weakref.WeakKeyDictionary()
"""How an error left its connection, until it is dumped; where that isn't open."""


def note_closed(error: BaseException, closed: int) -> None:
    """An error has left its connection as C says."""
    if closed:
        _closed[error] = closed


def dump_database_error(error: BaseException) -> Value:
    """The error; of one of psycopg2's also its diagnostics."""
    dumped = dump_error(error)
    if isinstance(error, psycopg2.Error) and error in _closed:
        dumped["closed"] = _closed[error]
    if hasattr(error, "pgcode"):
        diagnostics = {name: getattr(error.diag, name) for name in _FIELDS}  # type: ignore[attr-defined]
        dumped["psycopg2"] = {
            "pgcode": error.pgcode,
            "pgerror": error.pgerror,  # type: ignore[attr-defined]
            "diag": {name: text for name, text in diagnostics.items() if text is not None},
        }
    return dumped


def load_database_error(value: Value) -> BaseException:
    """The error that `dump_database_error` saw."""
    error = load_error(value)
    if not isinstance(error, RecordedError):
        return error
    kind = _class_named(value["type"])
    if kind is None:
        return error
    made = kind(*map(decode, value["args"]))  # C's classes are made by their own constructor only
    made.__cause__, made.__context__ = error.__cause__, error.__context__
    made.__suppress_context__ = error.__suppress_context__
    note_closed(made, value.get("closed", 0))
    said = value.get("psycopg2")
    if said is not None:
        made.__setstate__({"pgcode": said["pgcode"], "pgerror": said["pgerror"]})
        made.__dict__["_fx_diag"] = SimpleNamespace(**{**dict.fromkeys(_FIELDS), **said["diag"]})
    return made


def _class_named(name: str) -> type[BaseException] | None:
    module, _, qualname = name.partition(":")
    found = getattr(sys.modules.get(module), qualname, None) if module.partition(".")[0] == "psycopg2" else None
    return found if isinstance(found, type) and issubclass(found, psycopg2.Error) else None


def left_closed(error: BaseException) -> int:
    """How an error leaves its connection."""
    return _closed.get(error, 0)


def played_property(name: str, original: Any) -> Callable[[Any], Any]:
    """A field of C's as a property: what a replay has set, else what C says."""

    def field(error: Any) -> Any:
        return error.__dict__[name] if name in error.__dict__ else original.__get__(error)

    return property(field)  # type: ignore[return-value]
