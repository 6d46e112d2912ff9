"""What a statement did and the rows of its results, where the driver's client library has converted them already.

The values of rows are kept by reference, as the application gets them: what can't change. Between a driver and a Value.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Final

from pytest_fluxrun.boundaries.mysql.by_hand import Words
from pytest_fluxrun.boundaries.mysql.statements import Asked
from pytest_fluxrun.errors import DamagedBundle
from pytest_fluxrun.kinds.rows import FlatRows
from pytest_fluxrun.kinds.sql import folded
from pytest_fluxrun.values import Value, decode, dump_error, encode, encode_or_opaque, load_error

__all__ = ["Part", "PlayedResult", "Reply", "TappedResult"]

_MAX_ROWS: Final = 200_000
_LOCAL_INFILE: Final = re.compile(r"LOAD (?:DATA|XML) (?:\w+ )?LOCAL INFILE\b", re.IGNORECASE)


class LoadDataLocal:
    """Names what can't be recorded: a statement for which the client library reads a file."""


class OverBound:
    """Names what isn't kept: an answer of more rows than a run may hold."""


class Part:
    """One result of a statement, as far as the application reads it.

    Attributes:
        described: the columns for a cursor's description, or None: no rows.
        keys: of rows that were read as dicts, their keys, by the way in which the library made them.
        rows: as they were read: `FlatRows` of those that the library made as tuples, else a list.
        ended: all rows were read.
        failure: the error in the place of the result, or that ended the reading: raised live, or a Value.
    """

    __slots__ = (
        "affected",
        "count",
        "described",
        "ended",
        "failure",
        "flags",
        "insert_id",
        "keys",
        "rows",
        "warnings",
    )

    def __init__(self, affected: int = 0, insert_id: int = 0, warnings: int = 0) -> None:
        self.affected, self.insert_id, self.warnings = affected, insert_id, warnings
        self.described: Any = None
        self.flags: Any = None
        self.count = 0
        self.keys: dict[str, list[str]] = {}
        self.rows: Any = ()
        self.ended = False
        self.failure: Any = None

    def add(self, rows: tuple[tuple[Any, ...], ...]) -> None:
        """Keep rows that were read as tuples."""
        if type(self.rows) is not FlatRows and not self.rows:
            self.rows = FlatRows(len(self.described))
        self.rows.extend(rows)

    def add_made(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Keep the values of rows that were read as dicts, which may have fewer keys than there are columns."""
        self.rows = [*self.rows, *rows]

    def dump(self) -> Value:
        """As it is stored; `columns` and `rows` are where redaction looks for them."""
        dumped: dict[str, Value] = {
            "columns": None if self.described is None else [str(column[0]) for column in self.described],
            "rowcount": self.affected,
            "insert_id": self.insert_id,
            "warnings": self.warnings,
        }
        if self.described is not None:
            dumped["described"] = encode([list(column[1:]) for column in self.described])
            dumped["flags"] = encode(list(self.flags or ()))
            dumped["rows"] = encode_or_opaque([list(row) for row in self.rows])
            dumped["count"], dumped["keys"], dumped["ended"] = self.count, self.keys, self.ended
        if isinstance(self.failure, BaseException):
            dumped["failure"] = dump_error(self.failure)
        return dumped

    @classmethod
    def load(cls, value: Value) -> Part:
        """The part that `dump` saw."""
        part = cls(value["rowcount"], value["insert_id"], value["warnings"])
        part.failure = value.get("failure")
        if value["columns"] is not None:
            described = zip(value["columns"], decode(value["described"]), strict=True)
            part.described = tuple((name, *rest) for name, rest in described)
            part.flags = tuple(decode(value["flags"]))
            part.rows = [tuple(row) for row in decode(value["rows"])]
            part.count, part.keys, part.ended = value["count"], value["keys"], value["ended"]
        return part


class Reply:
    """All results of one statement, and the connection's state after it.

    Args:
        session: who records it; nothing is kept once it is closed. None: what is given again.
        asked: the statement.
    """

    __slots__ = ("__weakref__", "_asked", "_session", "autocommit", "over_bound", "parts")

    def __init__(self, session: Any = None, asked: Asked | None = None) -> None:
        self._asked = asked
        self._session = session if session is None else weakref.ref(session)
        self.parts: list[Part] = []
        self.autocommit: bool | None = None
        self.over_bound = False

    def keeps(self) -> bool:
        """Whether the run goes on."""
        session = None if self._session is None else self._session()
        return session is not None and not session.closed

    def weigh(self) -> int:
        """About how many bytes its rows keep."""
        return 100 * sum([len(part.rows) for part in self.parts])

    def dump(self) -> Value:
        """The first part, with the others under `more`; opaque if it can't be given back."""
        if self._asked is not None and _LOCAL_INFILE.match(folded(self._asked.text())):
            return encode_or_opaque(LoadDataLocal())
        if self.over_bound:
            return encode_or_opaque(OverBound())
        first, *more = [part.dump() for part in self.parts or [Part()]]
        return {**first, "autocommit": self.autocommit, "more": more}

    @classmethod
    def written(cls, words: Words) -> Reply:
        """What a guard tells in words; the connection's state stays as it is."""
        part = Part(words.count, words.insert_id)
        if words.columns:
            part.described = tuple(
                (name, kind, 0, 0, 0, 0, 1) for name, kind in zip(words.columns, words.types, strict=True)
            )
            part.flags = (0,) * len(words.columns)
            part.rows, part.count, part.ended = list(words.rows), len(words.rows), True
        reply = cls()
        reply.parts.append(part)
        return reply

    @classmethod
    def load(cls, value: Value) -> Reply:
        """The reply that `dump` saw.

        Raises:
            OpaqueValue: it can't be given back.
            DamagedBundle: it isn't a reply.
        """
        if "~" in value:
            decode(value)
        reply = cls()
        try:
            reply.parts = [Part.load(part) for part in (value, *value["more"])]
            reply.autocommit = value["autocommit"]
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedBundle("a recorded SQL answer can't be read", why=repr(error)) from error
        return reply


class TappedResult:
    """A result of the client library's, whose rows are kept as the application fetches them."""

    def __init__(self, live: Any, reply: Reply, part: Part) -> None:
        self._live = live
        self._reply = reply
        self._part = part

    def __getattr__(self, name: str) -> Any:
        return getattr(self._live, name)

    def describe(self) -> Any:
        """For a cursor's description."""
        return self._part.described

    def field_flags(self) -> Any:
        """The columns' flags."""
        return self._part.flags

    def fetch_row(self, maxrows: int = 1, how: int = 0) -> Any:
        """At most so many rows, all for 0."""
        part, reply = self._part, self._reply
        if not reply.keeps():
            return self._live.fetch_row(maxrows, how)
        try:
            rows = self._live.fetch_row(maxrows, how)
        except Exception as error:
            part.failure = error
            raise
        part.ended = part.ended or not maxrows or len(rows) < maxrows
        if how and rows:
            part.keys[str(how)] = list(rows[0])
            part.add_made(map(tuple, map(dict.values, rows)))  # the application may change the dicts
        else:
            part.add(rows)
        if len(part.rows) > _MAX_ROWS:
            part.rows, reply.over_bound = (), True
        return rows

    def data_seek(self, offset: int) -> None:
        """Go to a row that was read, or beyond."""
        self._live.data_seek(offset)
        self._part.rows = list(self._part.rows)[:offset]


class PlayedResult:
    """A recorded result in the place of the client library's.

    Args:
        refuse: called with the number of recorded rows where the application reads on; raises.
        converter: see `_mysql.result.converter`.
    """

    converter = ()

    def __init__(self, part: Part, refuse: Callable[[int], Any], *, has_next: bool) -> None:
        self._part = part
        self._refuse = refuse
        self._next = 0
        self.has_next = has_next

    def describe(self) -> Any:
        """For a cursor's description."""
        return self._part.described

    def field_flags(self) -> Any:
        """The columns' flags."""
        return self._part.flags

    def num_fields(self) -> int:
        """How many columns there are."""
        return len(self._part.described)

    def num_rows(self) -> int:
        """How many rows the library knew of."""
        return self._part.count

    def data_seek(self, offset: int) -> None:
        """Go to a row."""
        self._next = offset

    def discard(self) -> None:
        """Read no more."""
        self._next = len(self._part.rows)

    def fetch_row(self, maxrows: int = 1, how: int = 0) -> Any:
        """At most so many rows, all for 0.

        Raises:
            UnrecordedCall: the recorded program fetched fewer.
        """
        part, start = self._part, self._next
        rows = part.rows[start : start + maxrows] if maxrows else part.rows[start:]
        self._next = start + len(rows)
        if not maxrows or len(rows) < maxrows:
            if part.failure is not None:
                raise load_error(part.failure)
            if not part.ended:
                self._refuse(len(part.rows))
        if not how:
            return tuple(rows)
        keys = part.keys.get(str(how)) or [column[0] for column in part.described]
        return tuple([dict(zip(keys, row, strict=True)) for row in rows])
