"""What the server answered: results, notices and what became of the connection, to and from a Value. Data only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from psycopg import errors, pq

from pytest_fluxrun.boundaries.libpq.statement import copied_columns, text_of
from pytest_fluxrun.errors import DamagedBundle
from pytest_fluxrun.values import Value, decode, dump_error, encode_or_opaque, load_error

__all__ = ["Answer", "Failed", "PlayedResult", "diagnosed"]

_FATAL: Final = int(pq.ExecStatus.FATAL_ERROR)
_TUPLES: Final = frozenset(
    int(getattr(pq.ExecStatus, name))
    for name in ("TUPLES_OK", "SINGLE_TUPLE", "TUPLES_CHUNK")
    if hasattr(pq.ExecStatus, name)
)
_NO_ERROR: Final[Mapping[str, Any]] = {"message": "", "fields": {}}
_FIELDS: Final = tuple((field.name, int(field)) for field in pq.DiagnosticField)


class PlayedResult:
    """A PGresult of recorded parts, in the place of libpq's. See `psycopg.pq.abc.PGresult`.

    Args:
        described: for each column type, modifier, format, size, table and number in it.
        rows: of str (for bytes that are UTF-8), bytes and None.
    """

    nparams = 0
    oid_value = 0

    def __init__(
        self,
        status: int,
        *,
        command: bytes = b"",
        count: int | None = None,
        columns: list[bytes] | None = None,
        described: list[list[int]] | None = None,
        rows: list[list[Any]] | None = None,
        fields: Mapping[str, bytes] | None = None,
        message: bytes = b"",
    ) -> None:
        self.status = status
        self.command_status = command
        self.command_tuples = count
        self.error_message = message
        self._columns = columns or []
        self._described = described or []
        self._rows = rows or []
        self._fields = fields or {}
        self.ntuples = len(self._rows)
        self.nfields = len(self._columns)
        self.binary_tuples = int(bool(self._described) and self._described[0][2] == 1)

    def fname(self, column: int) -> bytes | None:
        """The column's name."""
        return self._columns[column] if column < self.nfields else None

    def ftype(self, column: int) -> int:
        """Its type's OID."""
        return self._described[column][0]

    def fmod(self, column: int) -> int:
        """Its type's modifier."""
        return self._described[column][1]

    def fformat(self, column: int) -> int:
        """0 text, 1 binary."""
        return self._described[column][2]

    def fsize(self, column: int) -> int:
        """Its size in bytes, -1 where it varies."""
        return self._described[column][3]

    def ftable(self, column: int) -> int:
        """The OID of the table that it comes from, 0 for none."""
        return self._described[column][4]

    def ftablecol(self, column: int) -> int:
        """Its number in that table."""
        return self._described[column][5]

    def get_value(self, row: int, column: int) -> bytes | None:
        """A value as the server sent it."""
        value = self._rows[row][column]
        return value.encode() if type(value) is str else value

    def error_field(self, field: int) -> bytes | None:
        """A diagnostic field."""
        return self._fields.get(pq.DiagnosticField(field).name)

    def get_error_message(self, encoding: str = "utf-8") -> str:
        """The message without its severity, as `psycopg.pq.error_message` gives it."""
        message = self.error_message.decode(encoding, "replace")
        return pq.misc.strip_severity(message) if message else "no error details available"

    def clear(self) -> None:
        """There is nothing to free."""


class Failed(Exception):
    """What a crossing raises in the place of the driver's error, which is made of the answer by the driver itself."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("the server answered with an error")
        self.answer = answer


class Answer:
    """What one exchange with the server gave. Filled while the app reads on, where it is a stream or a copy.

    Attributes:
        results: PGresults, by reference; played ones where it was loaded.
        failure: the error that the driver raised without a result: the connection was lost.
        before: the connection's transaction status before the exchange.
        after: and after it.
        alive: the connection is still open.
        notices: fields of the messages that came along.
        notifies: (channel, payload, process) of the notifications that came along, as handlers were told.
        received: and those that were waited for.
        parameters: what the server then reported of its parameters, where that changed.
        facts: of a connection just opened, what the server is; see `side.facts_of`.
        copied: of a copy, the pieces that were read, or written so far; None of all else.
        columns: that a copy lists.
        ended: a stream or copy was read to its end, or is no such.
        left: the app left it before.
        given_up: the wait for the answer was cancelled.
        counted: of an executemany, what its cursor then says: (rowcount, statusmessage).
    """

    # defaults on the class: an answer is made for every statement, and hardly ever has more than results
    failure: BaseException | None = None
    alive = ended = True
    left = given_up = False
    notices: Sequence[dict[str, bytes]] = ()
    notifies: Sequence[tuple[bytes, bytes, int]] = ()
    received: Sequence[tuple[bytes, bytes, int]] = ()
    columns: Sequence[str] = ()
    parameters: dict[str, str] | None = None
    facts: dict[str, Any] | None = None
    copied: list[bytes] | None = None
    counted: tuple[int, bytes | None] | None = None

    def __init__(self, results: list[Any] | None = None, *, before: int = 0, after: int = 0) -> None:
        self.results: list[Any] = [] if results is None else results
        self.before = before
        self.after = after

    def begin_copy(self, sql: bytes) -> None:
        """It is the beginning of a copy, which is then read or written."""
        self.copied = []
        self.columns = copied_columns(text_of(sql))
        self.ended = False
        self.after = self.before

    def failed(self) -> bool:
        """Whether the driver makes an error of it."""
        if self.failure is not None:
            return True
        for result in self.results:  # noqa: SIM110 - on the app's thread, for every statement
            if result.status == _FATAL:
                return True
        return False

    def error(self) -> BaseException:
        """The error that the driver makes of it, for people."""
        if self.failure is not None:
            return self.failure
        return errors.error_from_result(next(result for result in self.results if result.status == _FATAL))

    def weigh(self) -> int:
        """About how many bytes the results hold."""
        return sum([_weight(result) for result in self.results])

    def dump(self) -> Value:
        """The first result's columns and rows on top, where redaction looks; further results under `more`."""
        groups = [_dump_group(group) for group in _alike(self.results)]
        dumped: dict[str, Any] = groups[0] if groups else {"columns": None, "rows": [], "status": None}
        dumped["transaction"] = [self.before, self.after]
        if len(groups) > 1:
            dumped["more"] = groups[1:]
        if not self.alive:
            dumped["lost"] = True
        if self.failure is not None:
            dumped["failure"] = dump_error(self.failure)
        if self.notices:
            notices = [{name: _cell(value) for name, value in notice.items()} for notice in self.notices]
            dumped["notices"] = encode_or_opaque(notices)
        for name in ("notifies", "received"):
            if told := [[_cell(channel), _cell(payload), pid] for channel, payload, pid in getattr(self, name)]:
                dumped[name] = encode_or_opaque(told)
        for name in ("parameters", "facts"):
            if (known := getattr(self, name)) is not None:
                dumped[name] = known
        if self.counted is not None:
            dumped["counted"] = [self.counted[0], None if self.counted[1] is None else text_of(self.counted[1])]
        if self.copied is not None:
            dumped.update(_dump_copied(self.copied, self.columns))
        if not self.ended or self.left:
            dumped["left"] = True
        return dumped

    @classmethod
    def load(cls, value: Value) -> Answer:
        """The answer that `dump` saw.

        Raises:
            OpaqueValue: it can't be given back.
            DamagedBundle: it isn't one.
        """
        try:
            before, after = value["transaction"]
            answer = cls(before=before, after=after)
            if value["status"] is not None:
                for group in (value, *value.get("more", ())):
                    answer.results.extend(_load_group(group))
            answer.alive = not value.get("lost", False)
            if "failure" in value:
                answer.failure = _loaded_error(value["failure"])
            if "notices" in value:
                answer.notices = tuple(
                    {name: _bytes(field) for name, field in notice.items()} for notice in decode(value["notices"])
                )
            for name in ("notifies", "received"):
                if name in value:
                    told = [(_bytes(channel), _bytes(payload), pid) for channel, payload, pid in decode(value[name])]
                    setattr(answer, name, told)
            if "counted" in value:
                count, message = value["counted"]
                answer.counted = count, None if message is None else message.encode()
            answer.copied = _load_copied(value)
            answer.ended = not value.get("left", False)
            answer.parameters, answer.facts = value.get("parameters"), value.get("facts")
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise DamagedBundle("a recorded SQL answer can't be read", why=repr(error)) from error
        return answer


def _dump_copied(pieces: list[bytes], columns: Sequence[str]) -> dict[str, Value]:
    """What was copied out; as rows, where redaction looks, where each piece is one of as many fields as are listed."""
    texts = [_cell(piece) for piece in pieces]
    rows = [text[:-1].split("\t") for text in texts if isinstance(text, str) and text.endswith("\n")]
    if columns and len(rows) == len(texts) and all(len(row) == len(columns) for row in rows):
        return {"columns": list(columns), "rows": encode_or_opaque(rows), "copied": True}
    return {"copied": encode_or_opaque(texts)}


def _load_copied(value: Value) -> list[bytes] | None:
    if "copied" not in value:
        return None
    if value["copied"] is True:
        return ["\t".join(row).encode() + b"\n" for row in decode(value["rows"])]
    return [_bytes(piece) for piece in decode(value["copied"])]


def _loaded_error(value: Value) -> BaseException:
    error = load_error(value)
    if isinstance(error, errors.Error):
        vars(error).setdefault("_info", None)
        closed = "_pgconn" in value.get("left_out", ())
        vars(error).setdefault("_pgconn", errors.FinishedPGconn() if closed else None)
    return error


def _alike(results: Iterable[Any]) -> Iterator[list[Any]]:
    """Results in groups of such that differ in their rows only: a stream has one for each row."""
    group: list[Any] = []
    for result in results:
        if group and _head(group[-1]) != _head(result):
            yield group
            group = []
        group.append(result)
    if group:
        yield group


def _head(result: Any) -> Any:
    if result.status == _FATAL:
        return id(result)
    return (
        result.status,
        result.command_status,
        result.command_tuples,
        [(result.fname(index), result.ftype(index), result.fformat(index)) for index in range(result.nfields)],
    )


def _dump_group(group: list[Any]) -> dict[str, Any]:
    first = group[0]
    columns = range(first.nfields)
    names = [first.fname(index) or b"" for index in columns]
    gives_rows = bool(first.nfields) or int(first.status) in _TUPLES
    rows = [
        [_cell(result.get_value(row, index)) for index in columns] for result in group for row in range(result.ntuples)
    ]
    dumped: dict[str, Any] = {
        "columns": [text_of(name) for name in names] if gives_rows else None,
        "rows": encode_or_opaque(rows),
        "status": int(first.status),
        "command": text_of(first.command_status or b""),
        "count": first.command_tuples,
    }
    if names:
        dumped["described"] = [
            [
                first.ftype(index),
                first.fmod(index),
                int(first.fformat(index)),
                first.fsize(index),
                first.ftable(index),
                first.ftablecol(index),
            ]
            for index in columns
        ]
        raw = {str(index): name.hex() for index, name in enumerate(names) if text_of(name).encode() != name}
        if raw:
            dumped["raw_names"] = raw
    if len(group) > 1:
        dumped["sizes"] = [result.ntuples for result in group]
    if first.status == _FATAL:
        fields = {name: _cell(value) for name, value in diagnosed(first).items()}
        dumped["error"] = encode_or_opaque({"message": _cell(first.error_message), "fields": fields})
    return dumped


def _load_group(value: Value) -> Iterator[PlayedResult]:
    columns = [name.encode() for name in value["columns"] or ()]
    for index, name in value.get("raw_names", {}).items():
        columns[int(index)] = bytes.fromhex(name)
    rows = value["rows"]
    if type(rows) is not list or any(type(cell) is dict for row in rows for cell in row):
        rows = decode(rows)
    error = decode(value["error"]) if "error" in value else _NO_ERROR
    start = 0
    for size in value.get("sizes", [len(rows)]):
        yield PlayedResult(
            value["status"],
            command=value["command"].encode(),
            count=value["count"],
            columns=columns,
            described=value.get("described"),
            rows=rows[start : start + size],
            fields={name: _bytes(field) for name, field in error["fields"].items()},
            message=_bytes(error["message"]),
        )
        start += size


def diagnosed(result: Any) -> dict[str, bytes]:
    """The diagnostic fields that a result has, by name."""
    found = ((name, result.error_field(field)) for name, field in _FIELDS)
    return {name: value for name, value in found if value is not None}


def _cell(value: bytes | None) -> str | bytes | None:
    """Bytes as text where they are UTF-8, so that redaction can read them."""
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return bytes(value)


def _bytes(cell: Any) -> bytes:
    return cell.encode() if isinstance(cell, str) else cell


def _weight(result: Any) -> int:
    rows, columns = result.ntuples, result.nfields
    if not rows:
        return 0
    size = 16 * columns
    for index in range(columns):
        value = result.get_value(0, index)
        if value:
            size += len(value)
    return int(rows * size)
