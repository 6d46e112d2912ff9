"""What a statement of psycopg2 did, and its rows as far as the app fetches them: between a cursor and a Value.

Rows are kept as psycopg2's typecasters made them: C casts each row as it is fetched, and shows its text to nobody. What
a typecaster in Python made is kept as the text that it was given, and cast again; so is a range, by its own text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from pytest_fluxrun.boundaries.psycopg2_classes.errors import dump_database_error
from pytest_fluxrun.errors import DamagedBundle
from pytest_fluxrun.kinds.rows import FlatRows
from pytest_fluxrun.values import Value, decode, encode_or_opaque

__all__ = ["Outcome", "range_text"]

_MAX_ROWS: Final = 200_000
_PLAIN: Final = frozenset({int, str, float, bool, bytes, type(None)})


class Outcome:
    """What a statement did. Filled by the cursor.

    Attributes:
        description: a tuple for each column, or None where the statement gives no rows.
        rows: a list, or `FlatRows` of a live statement.
        casts: row and column of each text to be cast.
        raw: id of what a typecaster in Python made → that, and the text it was made of.
        ended: the app has fetched to the end.
        failure: the error that ended the fetching: raised live, or a Value when loaded.
        transaction: libpq's status of it afterwards.
        parameters: what the server reports of its settings, where the statement may have changed it.
        given: what was written into the app's file by a COPY, or returned by a procedure.
        played: served from a recording; `next_row` is how far the app is.
    """

    __slots__ = (
        "casts",
        "description",
        "ended",
        "failure",
        "given",
        "lastrowid",
        "mutable",
        "next_row",
        "notices",
        "notifies",
        "over_bound",
        "parameters",
        "played",
        "raw",
        "refused",
        "rowcount",
        "rows",
        "status",
        "transaction",
    )

    def __init__(self, *, transaction: int = 0, status: str | None = None) -> None:
        self.description: Sequence[Sequence[Any]] | None = None
        self.rows: Any = []
        self.casts: Sequence[tuple[int, int]] = ()
        self.raw: dict[int, tuple[Any, str]] | None = None
        self.ended = self.over_bound = self.played = self.mutable = False
        self.failure: Any = None
        self.rowcount = -1
        self.lastrowid = 0
        self.status = status
        self.transaction = transaction
        self.parameters: dict[str, str] | None = None
        self.notices: Sequence[str] = ()
        self.notifies: Sequence[Any] = ()
        self.given: Any = None
        self.refused = ""
        self.next_row = 0

    def note(self, made: Any, text: str) -> None:
        """A typecaster in Python made something of a text."""
        if self.raw is None:
            self.raw = {}
        self.raw[id(made)] = made, text

    def is_noted(self, value: Any) -> bool:
        """Whether a value is kept as the text that it was made of."""
        return self.raw is not None and id(value) in self.raw

    def keep_flat(self) -> None:
        """From here on rows are tuples as C makes them, one value for each column: they needn't be kept themselves."""
        if not self.rows and self.description:
            self.rows = FlatRows(len(self.description))

    def keep_made(self) -> None:
        """From here on rows may be of any width."""
        if type(self.rows) is FlatRows:
            self.rows = list(self.rows)

    def add(self, rows: Iterable[Any]) -> None:
        """Keep rows that the app has fetched."""
        if len(self.rows) >= _MAX_ROWS:
            self.rows, self.over_bound = [], True
        elif not self.over_bound:
            self.rows.extend(rows)

    def dump(self) -> Value:
        """Columns, rows, counts, what the connection knows then; opaque if it can't be given back."""
        if self.refused or self.over_bound:
            return encode_or_opaque(self)
        description = self.description
        rows, casts = self._rows()
        return {
            "columns": None if description is None else [column[0] for column in description],
            "described": None if description is None else [_described(column) for column in description],
            "rows": encode_or_opaque(rows),
            "casts": casts,
            "ended": self.ended or (self.rowcount >= 0 and len(self.rows) >= self.rowcount),
            "rowcount": self.rowcount,
            "lastrowid": self.lastrowid,
            "status": self.status,
            "transaction": self.transaction,
            "parameters": self.parameters,
            "notices": list(self.notices),
            "notifies": [list(notify) for notify in self.notifies],
            "given": encode_or_opaque(self.given),
            "failure": dump_database_error(self.failure) if isinstance(self.failure, BaseException) else None,
        }

    def _rows(self) -> tuple[list[list[Any]], list[list[int]]]:
        """The rows, and at which places in them texts stand that are to be cast again."""
        rows, casts = [], []
        for number, row in enumerate(self.rows):
            values = list(row)
            for index, value in enumerate(values):
                if type(value) not in _PLAIN and (text := self._text(value)) is not None:
                    values[index] = text
                    casts.append([number, index])
            rows.append(values)
        return rows, casts

    def _text(self, value: Any) -> str | None:
        """What a value is to be made of again; None for one that is kept as it is."""
        noted = None if self.raw is None else self.raw.get(id(value))
        if noted is not None and noted[0] is value:
            return noted[1]
        if type(value) is not list:
            return range_text(value)
        texts = [None if type(item) in _PLAIN else self._text(item) for item in value]
        if all(text is None for text in texts):
            return None
        return _array_text(texts)

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
            outcome = cls(transaction=value["transaction"], status=value["status"])
            if value["columns"] is not None:
                named = zip(value["columns"], value["described"], strict=True)
                outcome.description = [(name, *rest) for name, rest in named]
            outcome.rows = [tuple(row) for row in decode(value["rows"])]
            outcome.casts = [(row, column) for row, column in value["casts"]]
            outcome.ended, outcome.failure = value["ended"], value["failure"]
            outcome.rowcount, outcome.lastrowid = value["rowcount"], value["lastrowid"]
            outcome.parameters, outcome.notices = value["parameters"], list(value["notices"])
            outcome.notifies = [tuple(notify) for notify in value["notifies"]]
            outcome.given = decode(value["given"])
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedBundle("a recorded SQL answer can't be read", why=repr(error)) from error
        outcome.played = True
        return outcome

    def cast(self, cast_as: Callable[[int, str], Any]) -> None:
        """Cast the texts among the rows.

        Args:
            cast_as: takes a type's object id and a text.
        """
        types = [column[1] for column in self.description or ()]
        for number, index in self.casts:
            row = list(self.rows[number])
            row[index] = cast_as(types[index], row[index])
            self.rows[number] = tuple(row)
        self.casts = ()


def _described(column: Any) -> list[Any]:
    """A column's type and sizes, and of which table it is, which is no item of the sequence."""
    return [*column[1:], getattr(column, "table_oid", None), getattr(column, "table_column", None)]


def range_text(value: Any) -> str | None:
    """A range of psycopg2's as PostgreSQL writes it; None for what is none."""
    bounds = getattr(value, "_bounds", 0)
    if bounds is None:
        return "empty"
    if not isinstance(bounds, str) or not hasattr(value, "lower_inc"):
        return None
    ends = ("" if end is None else f'"{end}"' for end in (value.lower, value.upper))
    return f"{bounds[0]}{','.join(ends)}{bounds[1]}"


def _array_text(texts: Iterable[Any]) -> str:
    """An array as PostgreSQL writes it, of elements' texts; NULL elements are None."""
    return f"{{{','.join('NULL' if text is None else _quoted(text) for text in texts)}}}"


def _quoted(text: Any) -> str:
    escaped = str(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
