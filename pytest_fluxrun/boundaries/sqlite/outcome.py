"""What a statement did, and its rows as far as the app fetches them: between a cursor and a Value. Data only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pytest_fluxrun.boundary import Picks, Request
from pytest_fluxrun.errors import DamagedBundle
from pytest_fluxrun.kinds.sql import first_keyword, folded, positions, sketched, written_rows
from pytest_fluxrun.values import Value, decode, dump_error, encode_or_opaque

__all__ = ["Outcome"]

_MAX_ROWS: Final = 200_000


class Outcome:
    """What a statement did, and its rows as far as the app fetches them. Filled by the cursor.

    Attributes:
        columns: names, or None where the statement gives no rows.
        ended: the app has fetched to the end; `rowcount_end` is the cursor's rowcount then.
        failure: the error that ended the fetching: raised live, or a Value when loaded.
        played: served from a recording; `next_row` is how far the app is.
    """

    __slots__ = (
        "columns",
        "ended",
        "failure",
        "in_transaction",
        "lastrowid",
        "mutable",
        "next_row",
        "over_bound",
        "played",
        "refused",
        "rowcount",
        "rowcount_end",
        "rows",
        "total_changes",
    )

    def __init__(self, *, in_transaction: bool = False, total_changes: int = 0) -> None:
        self.columns: tuple[str, ...] | None = None
        self.rows: list[Any] = []
        self.ended = False
        self.failure: Any = None
        self.rowcount = self.rowcount_end = -1
        self.lastrowid: int | None = None
        self.in_transaction = in_transaction
        self.total_changes = total_changes
        self.over_bound = False
        self.refused = ""
        self.mutable = False
        self.played = False
        self.next_row = 0

    def add(self, rows: Iterable[Any]) -> None:
        """Keep rows that the app has fetched."""
        if len(self.rows) >= _MAX_ROWS:
            self.rows, self.over_bound = [], True
        elif not self.over_bound:
            self.rows.extend(rows)

    def dump(self) -> Value:
        """Columns, the rows that were fetched, counts, the transaction's state; opaque if it can't be given back."""
        if self.refused or self.over_bound:
            return encode_or_opaque(self)
        return {
            "columns": None if self.columns is None else list(self.columns),
            "rows": encode_or_opaque([list(row) for row in self.rows]),
            "ended": self.ended,
            "rowcount": self.rowcount,
            "rowcount_end": self.rowcount_end,
            "lastrowid": self.lastrowid,
            "in_transaction": self.in_transaction,
            "total_changes": self.total_changes,
            "failure": dump_error(self.failure) if isinstance(self.failure, BaseException) else None,
        }

    @classmethod
    def written(cls, request: Request, reply: Mapping[str, Any]) -> Outcome:
        """The outcome that a guard tells in words: `kinds.sql.written_rows`, and `lastrowid`."""
        said = written_rows({key: reply[key] for key in reply if key != "lastrowid"}, "sqlite3", request)
        outcome = cls(in_transaction=first_keyword(folded(request["sql"])) not in ("SELECT", "VALUES"))
        outcome.columns = tuple(said.columns) or None
        outcome.add(map(tuple, said.rows))
        outcome.rowcount = outcome.rowcount_end = -1 if said.columns else said.count
        outcome.lastrowid = reply.get("lastrowid")
        outcome.ended = True
        return outcome

    @staticmethod
    def sketched(request: Request, number: int) -> dict[str, Any] | None:
        """A made-up reply to a statement that writes: `kinds.sql.sketched`, and of an INSERT a row's number."""
        reply = sketched(request, number)
        if reply is None or "rows" in reply or first_keyword(folded(request["sql"])) not in ("INSERT", "REPLACE"):
            return reply
        return {**reply, "lastrowid": number}

    @staticmethod
    def project(value: Value, picks: Picks) -> Value:
        """The stored outcome with some of its columns; None where one of them isn't there, or there are no rows."""
        if "~" in value or value["columns"] is None:
            return None
        picked = positions(value["columns"], picks)
        if picked is None:
            return None
        places, names = picked
        rows = [tuple(row[place] for place in places) for row in decode(value["rows"])]
        return {**value, "columns": names, "rows": encode_or_opaque([list(row) for row in rows])}

    @classmethod
    def load(cls, value: Value) -> Outcome:
        """The outcome that `dump` saw, to be served.

        Raises:
            OpaqueValue: it can't be given back.
            DamagedBundle: it isn't an outcome.
        """
        if "~" in value:
            decode(value)
        try:
            outcome = cls(in_transaction=value["in_transaction"], total_changes=value["total_changes"])
            outcome.columns = None if value["columns"] is None else tuple(value["columns"])
            outcome.rows = [tuple(row) for row in decode(value["rows"])]
            outcome.ended, outcome.failure = value["ended"], value["failure"]
            outcome.rowcount, outcome.rowcount_end = value["rowcount"], value["rowcount_end"]
            outcome.lastrowid = value["lastrowid"]
        except (KeyError, TypeError) as error:
            raise DamagedBundle("a recorded SQL answer can't be read", why=repr(error)) from error
        outcome.played = True
        return outcome
